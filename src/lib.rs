//! Builds container images from a Dockerfile without a daemon: a drop-in replacement for the kaniko executor.
//!
//! A build is a pipeline of plain values with effects at two edges, the network and the disk.
//!
//! # Reading order
//!
//! [`dockerfile`] turns text into stages, [`plan`] turns stages, options and base configs into ordered steps,
//! `build` runs them. A step works in its stage's private root ([`layer`] is the tar format that fills and empties it).
//!
//! # Words
//!
//! What the field has a name for is called by it. These are the project's own:
//!
//! - **private root**: the files of a stage on disk, in a directory that is not the container's `/` ([`rootfs`]).
//! - **baseline**: what a root looked like at the last look; **candidate**: a file whose ctime or inode moved since ([`snapshot`]).
//! - **prospect**, **outlook**: what of a stage, of a build must really be done, given the layers that are cached; **lookahead**: asking for them
//!   before any work (`build`).
//! - **demand**: the files of a base that somebody looks at; **excerpt**: a root that has only those.
//! - **lent**: what a command finds beside the image, by `RUN --mount` and the like; the **shelf** has it for a build, a **staging** for one command
//!   (`execute::mount`). **Stub**: an empty file or directory that is there to be mounted on.
//! - **aside**: out of the way. Of a new file: under another name until it is whole. Of the container's own things: in the work directory while a
//!   command runs in place. The **journal** says what is there; a **graft** is a mount made by renaming.
//! - **kept**, **held**: a cache mount that is on disk; the same while nobody else may change it. In place: a path that cannot be moved.
//!
//! # Imports
//!
//! A module uses only modules that stand in a line above its own, or in its own line's list. `tests/architecture.rs` checks
//! every `crate::` path against this table:
//!
//! ```text
//! causes
//! interrupt
//! image
//! log         image
//! net         image log
//! cloud       net
//! dockerfile  image
//! layer       image
//! plan        image dockerfile
//! store       causes image layer
//! layout      image layer store
//! registry    causes image log net store cloud
//! rootfs      image layer
//! context     interrupt image log layer net cloud rootfs
//! snapshot    image layer rootfs store
//! cache       causes image dockerfile layer plan net registry store layout
//! execute     interrupt image log layer plan net context rootfs dockerfile cache
//! output      interrupt image log layer net registry store layout rootfs snapshot
//! attest      image dockerfile layer output
//! build       causes interrupt image log net dockerfile layer plan store layout registry context rootfs snapshot execute cache output attest
//! cli         interrupt image net dockerfile plan registry context execute cache output log build layout store attest
//! report      causes interrupt image dockerfile plan registry context execute cache output build cli log layer rootfs snapshot store layout net attest
//! job         causes interrupt image net dockerfile layer plan store layout registry context rootfs snapshot execute cache output build cli log report attest
//! ```

pub mod attest;
pub mod build;
pub mod cache;
pub mod causes;
pub mod cli;
pub mod cloud;
pub mod context;
pub mod design;
pub mod dockerfile;
pub mod execute;
pub mod image;
pub mod interrupt;
pub mod job;
pub mod layer;
pub mod layout;
pub mod log;
pub mod net;
pub mod output;
#[doc = include_str!("pipelines.md")]
pub mod pipelines {}
pub mod plan;
pub mod registry;
pub mod report;
pub mod rootfs;
pub mod snapshot;
pub mod store;
