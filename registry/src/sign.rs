//! Who vouches for a package: ed25519 signatures over its manifest, and with it over the digest of every file.
//!
//! What is signed is the pre-authentication encoding of DSSE (<https://github.com/secure-systems-lab/dsse>), so that any
//! implementation of it can check an exported package. Keys are the PEM files of `openssl genpkey -algorithm ed25519`.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey};
use ed25519_dalek::{Signer, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::digest::Digest;
use crate::error::{RegistryError, Result};
use crate::record::{ModelOp, Stamp};
use crate::registry::Registry;
use crate::state::ModelLog;
use crate::view::ModelVersion;

/// What the signed bytes are, for DSSE.
const PAYLOAD_TYPE: &str = "application/vnd.foretell.manifest+json";
const PREFIX: &str = "ed25519:";

/// A private key. Its `Debug` form shows the public half only.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public key; as text `ed25519:<base64>`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

/// One signature of a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signature {
    /// [`PublicKey::id`] of the key that signed.
    pub key_id: String,
    /// Base64 of the 64 bytes.
    pub signature: String,
}

/// What a registry signs with, and whose signatures it asks for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    pub(crate) signer: Option<SigningKey>,
    pub(crate) trusted: Vec<PublicKey>,
}

impl SigningKey {
    /// A new key, from the operating system's randomness.
    pub fn generate() -> Result<Self> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|it| RegistryError::Unsupported {
            what: format!("this system gives no randomness for a key: {it}"),
        })?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&secret)))
    }

    /// Reads a PKCS#8 PEM file.
    pub fn from_pem(pem: &str) -> Result<Self> {
        let key = ed25519_dalek::SigningKey::from_pkcs8_pem(pem.trim());
        key.map(Self).map_err(|it| {
            RegistryError::invalid(format!(
                "this is no ed25519 private key in PEM form ({it}); `foretell registry keygen` or `openssl genpkey -algorithm \
                 ed25519` makes one"
            ))
        })
    }

    /// PKCS#8 PEM: keep it secret.
    pub fn to_pem(&self) -> String {
        let pem = self.0.to_pkcs8_pem(LineEnding::LF);
        pem.expect("32 bytes always fit the format").to_string()
    }

    /// The half that others need.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, manifest: &[u8]) -> Signature {
        let signature = self.0.sign(&pre_authentication(manifest));
        Signature {
            key_id: self.public().id(),
            signature: STANDARD.encode(signature.to_bytes()),
        }
    }
}

impl PublicKey {
    /// 16 hex digits of the key's SHA-256: which key made a signature.
    pub fn id(&self) -> String {
        Digest::of(self.0.as_bytes()).hex()[..16].to_owned()
    }

    /// SPKI PEM, for other tools.
    pub fn to_pem(&self) -> String {
        let pem = self.0.to_public_key_pem(LineEnding::LF);
        pem.expect("32 bytes always fit the format")
    }

    fn verifies(&self, signature: &Signature, manifest: &[u8]) -> bool {
        let bytes = STANDARD.decode(&signature.signature).ok();
        let signature = bytes.and_then(|it| ed25519_dalek::Signature::from_slice(&it).ok());
        signature.is_some_and(|it| self.0.verify_strict(&pre_authentication(manifest), &it).is_ok())
    }
}

impl Trust {
    /// Whether one of the trusted keys signed these bytes. With no key configured, everything is trusted.
    pub(crate) fn check(&self, version: &ModelVersion, manifest: &[u8]) -> Result<()> {
        let good = |key: &PublicKey| version.signatures.iter().any(|it| key.verifies(it, manifest));
        if self.trusted.is_empty() || self.trusted.iter().any(good) {
            return Ok(());
        }
        let signers: Vec<_> = version.signatures.iter().map(|it| it.key_id.as_str()).collect();
        let found = match &signers[..] {
            [] => "it is not signed".to_owned(),
            signers => format!("it is signed by {}", signers.join(", ")),
        };
        Err(RegistryError::Untrusted {
            package: version.to_string(),
            found,
        })
    }
}

impl Registry {
    /// The same registry; what is published through this value is signed.
    pub fn signing_with(self, key: SigningKey) -> Self {
        let trusted = self.trust().trusted.clone();
        let signer = Some(key);
        self.with_trust(Trust { signer, trusted })
    }

    /// The same registry; packages without a good signature by one of these keys are not handed out. No keys: all are.
    pub fn trusting(self, keys: Vec<PublicKey>) -> Self {
        let signer = self.trust().signer.clone();
        let trusted = keys;
        self.with_trust(Trust { signer, trusted })
    }

    /// Adds a signature to a version. Nothing is recorded when this key has signed it.
    pub async fn sign(&self, model: &str, version: u64, key: &SigningKey, stamp: &Stamp) -> Result<ModelVersion> {
        let state = self.model(model).await?;
        let found = state.version(version)?;
        let (manifest, _) = self.manifest_bytes(&found.to_string(), found.digest).await?;
        let signature = key.sign(&manifest);
        let plan = |log: &ModelLog| {
            let known = log.version(model, version)?.signatures.contains(&signature);
            let op = ModelOp::AddSignature {
                version,
                signature: signature.clone(),
            };
            Ok((!known).then_some(op).into_iter().collect())
        };
        self.commit(&crate::log::Draft::new(model, stamp), plan)
            .await?
            .version(version)
    }

    /// Whether the version's package may be loaded by this registry's rule.
    pub async fn check_trust(&self, version: &ModelVersion) -> Result<()> {
        self.manifest(version).await.map(drop)
    }
}

/// The DSSE envelope of a signed manifest, for other tools.
pub(crate) fn envelope(signatures: &[Signature], manifest: &[u8]) -> Value {
    let signatures: Vec<_> = signatures
        .iter()
        .map(|it| json!({ "keyid": it.key_id, "sig": it.signature }))
        .collect();
    json!({ "payloadType": PAYLOAD_TYPE, "payload": STANDARD.encode(manifest), "signatures": signatures })
}

fn pre_authentication(manifest: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), manifest.len());
    [head.as_bytes(), manifest].concat()
}

impl FromStr for PublicKey {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let key = match text.strip_prefix(PREFIX) {
            Some(key) => raw_key(key),
            None => VerifyingKey::from_public_key_pem(text).ok(),
        };
        key.map(Self).ok_or_else(|| {
            RegistryError::invalid(format!(
                "`{text}` is no ed25519 public key; write `{PREFIX}` and the base64 of its 32 bytes, or the text of its PEM file"
            ))
        })
    }
}

fn raw_key(text: &str) -> Option<VerifyingKey> {
    let bytes: [u8; 32] = STANDARD.decode(text).ok()?.try_into().ok()?;
    VerifyingKey::from_bytes(&bytes).ok()
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_what_they_write() {
        let key = SigningKey::generate().unwrap();
        let public = key.public();
        assert_eq!(SigningKey::from_pem(&key.to_pem()).unwrap().public(), public);
        for text in [public.to_string(), public.to_pem()] {
            assert_eq!(text.parse::<PublicKey>().unwrap(), public);
        }
        assert!(!format!("{key:?}").contains(&key.to_pem()[30..60]));
        for bad in [
            "",
            "ed25519:",
            "ed25519:AAAA",
            "ssh-ed25519 AAAA",
            "-----BEGIN PUBLIC KEY-----",
        ] {
            assert!(bad.parse::<PublicKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_example_key_of_rfc_8410_is_read() {
        let private = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{private}\n-----END PRIVATE KEY-----\n");
        let public = "ed25519:Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
        assert_eq!(SigningKey::from_pem(&pem).unwrap().public().to_string(), public);
    }

    #[test]
    fn a_signature_holds_for_these_bytes_and_this_key_only() {
        let (key, other) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
        let signature = key.sign(b"manifest");
        assert!(key.public().verifies(&signature, b"manifest"));
        assert!(!key.public().verifies(&signature, b"Manifest"));
        assert!(!other.public().verifies(&signature, b"manifest"));
        let cut = Signature {
            signature: signature.signature[1..].to_owned(),
            ..signature
        };
        assert!(!key.public().verifies(&cut, b"manifest"));
    }
}
