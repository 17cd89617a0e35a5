//! Private keys, and how something is signed with them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use num_bigint::BigUint;
use ring::rand::SystemRandom;
use ring::rsa::{KeyPairComponents, PublicKeyComponents};
use ring::signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding};
use russh::keys::agent::AgentIdentity;
use russh::keys::signature::Signer;
use russh::keys::ssh_key::private::{KeypairData, RsaKeypair};
use russh::keys::ssh_key::public::RsaPublicKey;
use russh::keys::ssh_key::{self, Mpint, encoding::Encode as _};
use russh::keys::{HashAlg, PrivateKey, PublicKey};

use super::scalar;

/// A private key that can be used.
pub enum Key {
    Elliptic(Arc<PrivateKey>),
    Rsa(RsaKey),
}

/// An RSA key; the ssh library would have it signed by a package that is known to leak through timing.
pub struct RsaKey {
    pair: Arc<ring::rsa::KeyPair>,
    pub public: PublicKey,
}

/// Why a file is no key for us.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("it has a passphrase")]
    Passphrase,
    #[error("it is no private key, or one of an unknown kind")]
    Format,
    #[error("it is an RSA key that is not accepted: {0}")]
    Rsa(String),
}

impl Key {
    /// Returns the other half, which servers know it by.
    pub fn public(&self) -> &PublicKey {
        match self {
            Self::Elliptic(key) => key.public_key(),
            Self::Rsa(key) => &key.public,
        }
    }

    /// Returns a signature with the name of its kind in front, as ssh sends it; `hash` is for RSA keys only.
    ///
    /// # Errors
    /// What the key or its encoding cannot do.
    pub fn sign(&self, message: &[u8], hash: HashAlg) -> Result<Vec<u8>, SignError> {
        match self {
            Self::Elliptic(key) => {
                let signed: Result<ssh_key::Signature, _> =
                    Signer::try_sign(key.key_data(), message);
                let signed = signed.map_err(|_| SignError::Sign)?;
                let mut blob = Vec::new();
                signed.encode(&mut blob)?;
                Ok(blob)
            }
            Self::Rsa(key) => key.sign(message, hash),
        }
    }

    /// Reads a private key in OpenSSH's form or in PEM.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let text = text.replace('\r', "");
        let text = text.trim();
        if let Some(body) = pem(text, "RSA PRIVATE KEY") {
            let der = body?;
            return Ok(Self::Rsa(RsaKey::new(ring::rsa::KeyPair::from_der(&der))?));
        }
        if let Some(Ok(der)) = pem(text, "PRIVATE KEY")
            && let Ok(pair) = ring::rsa::KeyPair::from_pkcs8(&der)
        {
            return Ok(Self::Rsa(RsaKey::new(Ok(pair))?));
        }
        let key = russh::keys::decode_secret_key(text, None);
        let key = key.or_else(|error| {
            let file = pem(text, "OPENSSH PRIVATE KEY").and_then(Result::ok);
            let file = file.and_then(|file| scalar::padded(&file)).ok_or(error)?;
            Ok(PrivateKey::from_bytes(&file)?)
        });
        let key = key.map_err(|error: russh::keys::Error| {
            let is_encrypted = text.contains("ENCRYPTED");
            match error {
                russh::keys::Error::KeyIsEncrypted => KeyError::Passphrase,
                _ if is_encrypted => KeyError::Passphrase,
                _ => KeyError::Format,
            }
        })?;
        match key.key_data() {
            KeypairData::Rsa(pair) => Ok(Self::Rsa(RsaKey::of(pair)?)),
            _ => Ok(Self::Elliptic(Arc::new(key))),
        }
    }
}

/// Finds what is between the lines that begin and end something in PEM.
fn pem(text: &str, name: &str) -> Option<Result<Vec<u8>, KeyError>> {
    let (begin, end) = (
        format!("-----BEGIN {name}-----"),
        format!("-----END {name}-----"),
    );
    let (_, rest) = text.split_once(&begin)?;
    let (body, _) = rest.split_once(&end)?;
    if body.contains("ENCRYPTED") {
        return Some(Err(KeyError::Passphrase));
    }
    let body: String = body.split_whitespace().collect();
    Some(STANDARD.decode(body).map_err(|_| KeyError::Format))
}

impl RsaKey {
    fn new(pair: Result<ring::rsa::KeyPair, ring::error::KeyRejected>) -> Result<Self, KeyError> {
        let pair = pair.map_err(|rejected| KeyError::Rsa(rejected.to_string()))?;
        let parts = PublicKeyComponents::<Vec<u8>>::from(pair.public());
        let [e, n] = [&parts.e, &parts.n].map(|bytes| Mpint::from_positive_bytes(bytes));
        let public = RsaPublicKey::new(e, n).map_err(|_| KeyError::Format)?;
        Ok(Self {
            pair: Arc::new(pair),
            public: public.into(),
        })
    }

    /// Completes OpenSSH's form, which leaves two numbers out.
    fn of(pair: &RsaKeypair) -> Result<Self, KeyError> {
        let bytes = |number: &Mpint| {
            let bytes = number.as_positive_bytes();
            bytes.map(<[u8]>::to_vec).ok_or(KeyError::Format)
        };
        let private = pair.private();
        let d = bytes(private.d())?;
        let exponent = |prime: &[u8]| {
            let one_less = BigUint::from_bytes_be(prime) - 1u8;
            (BigUint::from_bytes_be(&d) % one_less).to_bytes_be()
        };
        let (p, q) = (bytes(private.p())?, bytes(private.q())?);
        if p.is_empty() || q.is_empty() {
            return Err(KeyError::Format);
        }
        Self::new(ring::rsa::KeyPair::from_components(&KeyPairComponents {
            public_key: PublicKeyComponents {
                n: bytes(pair.public().n())?,
                e: bytes(pair.public().e())?,
            },
            dP: exponent(&p),
            dQ: exponent(&q),
            qInv: bytes(private.iqmp())?,
            d,
            p,
            q,
        }))
    }

    fn sign(&self, message: &[u8], hash: HashAlg) -> Result<Vec<u8>, SignError> {
        let (name, padding): (_, &'static dyn RsaEncoding) = match hash {
            HashAlg::Sha256 => ("rsa-sha2-256", &RSA_PKCS1_SHA256),
            _ => ("rsa-sha2-512", &RSA_PKCS1_SHA512),
        };
        let mut signature = vec![0; self.pair.public().modulus_len()];
        let signed = self
            .pair
            .sign(padding, &SystemRandom::new(), message, &mut signature);
        signed.map_err(|_| SignError::Sign)?;
        let mut blob = Vec::new();
        name.encode(&mut blob)?;
        signature.as_slice().encode(&mut blob)?;
        Ok(blob)
    }
}

/// Why nothing could be signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    #[error("the connection ended")]
    Send(#[from] russh::SendError),
    #[error("cannot sign with the key")]
    Sign,
    #[error(transparent)]
    Encoding(#[from] ssh_key::encoding::Error),
}

impl russh::Signer for &RsaKey {
    type Error = SignError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        hash: Option<HashAlg>,
        mut message: Vec<u8>,
    ) -> Result<Vec<u8>, SignError> {
        let blob = self.sign(&message, hash.unwrap_or(HashAlg::Sha512))?;
        blob.as_slice().encode(&mut message)?;
        Ok(message)
    }
}
