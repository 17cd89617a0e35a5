//! TLS: which certificates of servers are accepted, and which is shown to them.

use std::error::Error as StdError;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore,
    SignatureScheme,
};

use super::http::{Identity, Profile};

/// Makes the settings for a profile; `roots` are trusted besides its own certificates.
pub(super) fn config(
    profile: &Profile,
    roots: &[CertificateDer<'static>],
    http1_only: bool,
) -> Result<ClientConfig, Box<dyn StdError + Send + Sync>> {
    let provider = Arc::new(ring::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let verifier: Arc<dyn ServerCertVerifier> = match profile.skip_verify {
        true => Arc::new(Anyone),
        false => Arc::new(Trusted::new(profile, roots, algorithms)?),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut config = match &profile.identity {
        None => builder.with_no_client_auth(),
        Some(Identity(pem)) => {
            let pem = pem.reveal().as_bytes();
            let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pem)?)?
        }
    };
    config.alpn_protocols = match http1_only {
        true => vec![b"http/1.1".to_vec()],
        false => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    Ok(config)
}

/// Accepts servers whose certificates trusted authorities signed, and servers whose own certificate is a trusted one.
///
/// The latter may call itself an authority, as what `openssl req -x509` makes does. To webpki that is no server's certificate, but it is one
/// to Go's libraries, and so to the other tools that a registry is used with.
#[derive(Debug)]
struct Trusted {
    authorities: RootCertStore,
    certificates: Vec<CertificateDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl Trusted {
    fn new(
        profile: &Profile,
        roots: &[CertificateDer<'static>],
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self, Box<dyn StdError + Send + Sync>> {
        let mut certificates = roots.to_vec();
        if let Some(pem) = &profile.certificates {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                certificates.push(certificate?);
            }
        }
        let mut authorities = RootCertStore::empty();
        for certificate in &certificates {
            authorities.add(certificate.clone())?;
        }
        Ok(Self {
            authorities,
            certificates,
            algorithms,
        })
    }
}

/// Tells whether nothing is wrong with a server's certificate but that it is an authority's; one that is out of date is told before.
fn is_an_authority(error: &rustls::Error) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(cause))) = error
    else {
        return false;
    };
    matches!(
        cause.downcast_ref::<webpki::Error>(),
        Some(webpki::Error::CaUsedAsEndEntity)
    )
}

impl ServerCertVerifier for Trusted {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        let signed = verify_server_cert_signed_by_trust_anchor(
            &parsed,
            &self.authorities,
            intermediates,
            now,
            self.algorithms.all,
        );
        match signed {
            Err(error) if is_an_authority(&error) && self.certificates.contains(certificate) => {}
            signed => signed?,
        }
        verify_server_name(&parsed, name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts every server, whatever it shows and however it signs.
#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![
            SignatureScheme::ECDSA_NISTP256_SHA256,
            SignatureScheme::ECDSA_NISTP384_SHA384,
            SignatureScheme::ECDSA_NISTP521_SHA512,
            SignatureScheme::ED25519,
            SignatureScheme::ED448,
            SignatureScheme::RSA_PSS_SHA256,
            SignatureScheme::RSA_PSS_SHA384,
            SignatureScheme::RSA_PSS_SHA512,
            SignatureScheme::RSA_PKCS1_SHA256,
            SignatureScheme::RSA_PKCS1_SHA384,
            SignatureScheme::RSA_PKCS1_SHA512,
            SignatureScheme::ECDSA_SHA1_Legacy,
            SignatureScheme::RSA_PKCS1_SHA1,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a certificate that signs itself, as an authority or not, valid in these years.
    fn own(is_authority: bool, years: (i32, i32)) -> CertificateDer<'static> {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(["registry.test".to_owned()]).unwrap();
        if is_authority {
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        }
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        params.self_signed(&key).unwrap().der().clone()
    }

    #[test]
    fn who_accepts_everything_leaves_no_certificate_out() {
        let profile = Profile {
            skip_verify: true,
            ..Profile::default()
        };
        assert!(config(&profile, &[], false).is_ok());
        // P-521, say, is no curve of ring's
        let verified = ring::default_provider().signature_verification_algorithms;
        let schemes = Anyone.supported_verify_schemes();
        let missing = verified.supported_schemes();
        let missing: Vec<_> = missing
            .iter()
            .filter(|scheme| !schemes.contains(scheme))
            .collect();
        assert!(missing.is_empty(), "{missing:?}");
        assert!(schemes.contains(&SignatureScheme::ECDSA_NISTP521_SHA512));
    }

    #[test]
    fn a_certificate_that_is_trusted_itself() {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let now = UnixTime::now();
        let valid = (2000, 4000);
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // authority  valid         trusted  name             accepted
            (true,        valid,        true,    "registry.test", true),
            (false,       valid,        true,    "registry.test", true),
            (true,        valid,        false,   "registry.test", false),
            (false,       valid,        false,   "registry.test", false),
            (true,        valid,        true,    "other.test",    false),
            (true,        (2000, 2001), true,    "registry.test", false),
            (true,        (3000, 4000), true,    "registry.test", false),
        ];
        for (is_authority, years, is_trusted, name, want) in cases {
            let certificate = own(is_authority, years);
            let other = own(true, valid);
            let roots = match is_trusted {
                true => vec![other, certificate.clone()],
                false => vec![other],
            };
            let trusted = Trusted::new(&Profile::default(), &roots, algorithms).unwrap();
            let name = ServerName::try_from(name).unwrap();
            let verified = trusted.verify_server_cert(&certificate, &[], &name, &[], now);
            let case = format!("{is_authority} {years:?} {is_trusted} {name:?}: {verified:?}");
            assert_eq!(verified.is_ok(), want, "{case}");
        }
    }
}
