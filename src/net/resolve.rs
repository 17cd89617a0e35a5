//! Name resolution, configured once at start.

use std::io;
use std::net::{IpAddr, SocketAddr};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::Error;

/// Resolves names by `/etc/hosts` and `/etc/resolv.conf` as they were when it was made.
#[derive(Clone)]
pub(super) struct Resolver(TokioResolver);

impl Resolver {
    /// Reads the system's configuration; without `/etc/resolv.conf` only `/etc/hosts` answers.
    pub(super) fn from_system() -> Result<Self, Error> {
        let mut builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::debug!(%error, "no usable resolv.conf: names come from the hosts file only");
            TokioResolver::builder_with_config(
                ResolverConfig::from_name_servers(Vec::new()),
                TokioRuntimeProvider::default(),
            )
        });
        builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        let resolver = builder.build().map_err(|error| Error::Resolver {
            source: error.into(),
        })?;
        Ok(Self(resolver))
    }

    /// Returns the addresses of a host.
    pub(super) async fn addresses(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = host.parse() {
            return Ok(vec![address]);
        }
        let found = self.0.lookup_ip(host).await;
        let found = found.map_err(|error| io::Error::other(told(host, error)))?;
        Ok(found.iter().collect())
    }
}

/// Returns what is told of a failed lookup: of a name that has no address that alone, not how it was looked up.
fn told(host: &str, error: NetError) -> Box<dyn std::error::Error + Send + Sync> {
    match error.is_no_records_found() || error.is_nx_domain() {
        true => format!("no address is known for `{host}`").into(),
        false => error.into(),
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.lookup_ip(name.as_str()).await;
            let found = found.map_err(|error| told(name.as_str(), error))?;
            let addresses: Vec<_> = found.iter().map(|ip| SocketAddr::new(ip, 0)).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}
