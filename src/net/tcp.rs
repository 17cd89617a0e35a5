//! Plain connections, for what is not HTTP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;

use super::{CONNECT_TIMEOUT, Net};

impl Net {
    /// Connects to a host, whichever of its addresses answers first in order.
    ///
    /// # Errors
    /// Why the name has no address, or why the last of them does not answer.
    pub async fn connect(&self, host: &str, port: u16) -> io::Result<TcpStream> {
        let addresses = self.0.resolver.addresses(host).await?;
        let mut failure =
            io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address"));
        for address in addresses {
            match connect(SocketAddr::new(address, port), CONNECT_TIMEOUT).await {
                Ok(stream) => return Ok(stream),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
}

async fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let connected = tokio::time::timeout(limit, TcpStream::connect(address));
    let stream = connected
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
