//! The layer tar format over `Read` and `Write`. Opens no file.

pub mod entry;
pub mod path;

pub use entry::{Entry, Kind};
pub use path::LayerPath;
