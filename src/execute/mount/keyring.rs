//! Private keys behind the protocol of an SSH agent.
//!
//! # Spec
//! draft-ietf-sshm-ssh-agent, sections 3.5 (requesting a list of keys) and 3.6 (private key operations).

use std::fmt;

use russh::keys::HashAlg;

use crate::context::git::SshKey;

/// `SSH_AGENTC_REQUEST_IDENTITIES`
pub(super) const IDENTITIES: u8 = 11;
/// `SSH_AGENTC_SIGN_REQUEST`
pub(super) const SIGN: u8 = 13;
/// `SSH_AGENT_FAILURE` as a whole message.
pub(super) const FAILURE: [u8; 5] = [0, 0, 0, 1, 5];

const IDENTITIES_ANSWER: u8 = 12;
const SIGN_ANSWER: u8 = 14;
const RSA_SHA2_256: u32 = 2;
const RSA_SHA2_512: u32 = 4;

/// Keys in the order in which they are offered, each with its public half as ssh sends it.
#[derive(Default)]
pub(super) struct Keyring(Vec<(Vec<u8>, SshKey)>);

impl Keyring {
    pub(super) fn add(&mut self, key: SshKey) {
        // A key that cannot be named cannot be asked for.
        if let Ok(public) = key.public().to_bytes() {
            self.0.push((public, key));
        }
    }

    /// Returns the whole answer to a request, which is without its length.
    pub(super) fn answer(&self, request: &[u8]) -> Vec<u8> {
        let answer = match request.split_first() {
            Some((&IDENTITIES, _)) => Some(self.identities()),
            Some((&SIGN, request)) => self.sign(request),
            _ => None,
        };
        match answer {
            Some(answer) => string(&answer),
            None => FAILURE.to_vec(),
        }
    }

    fn identities(&self) -> Vec<u8> {
        let mut answer = vec![IDENTITIES_ANSWER];
        answer.extend(length(self.0.len()));
        for (public, _) in &self.0 {
            answer.extend(string(public));
            // No comment.
            answer.extend(string(b""));
        }
        answer
    }

    /// Signs; an RSA signature over SHA-1, which old programs ask for, is refused.
    fn sign(&self, request: &[u8]) -> Option<Vec<u8>> {
        let (public, rest) = split_string(request)?;
        let (message, flags) = split_string(rest)?;
        let flags = u32::from_be_bytes(*flags.first_chunk()?);
        let (_, key) = self.0.iter().find(|(known, _)| known == public)?;
        let hash = match (key, flags) {
            (SshKey::Elliptic(_), _) => HashAlg::Sha512,
            (SshKey::Rsa(_), flags) if flags & RSA_SHA2_512 != 0 => HashAlg::Sha512,
            (SshKey::Rsa(_), flags) if flags & RSA_SHA2_256 != 0 => HashAlg::Sha256,
            (SshKey::Rsa(_), _) => return None,
        };
        let signature = key.sign(message, hash).ok()?;
        let mut answer = vec![SIGN_ANSWER];
        answer.extend(string(&signature));
        Some(answer)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length)
        .expect("keys and messages are short")
        .to_be_bytes()
}

/// Puts the length in front.
fn string(bytes: &[u8]) -> Vec<u8> {
    [&length(bytes.len()), bytes].concat()
}

fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}
