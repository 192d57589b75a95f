//! JSON Web Tokens (RFC 7519) as an alternative to keys, for those who have an identity provider.
//!
//! Issuer, audience and algorithms are pinned in the configuration, and the provider's public keys come from a file. Nothing is
//! fetched. The claim `slotwise_roles` lists the roles of the caller, and `slotwise_slots` the patterns of the slots that it may
//! reach (all if it is missing).

use std::{collections::BTreeSet, fs, path::PathBuf};

use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::{Deserialize, Serialize};

use super::{caller::Caller, pattern::SlotPattern, role::Role};

/// Longest token, bytes.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// The table `[tokens]` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSettings {
    /// Issuer that a token must name (claim `iss`).
    pub issuer: String,
    /// Audience that a token must name (claim `aud`).
    pub audience: String,
    /// Algorithms that are taken: RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or `EdDSA`.
    pub algorithms: Vec<String>,
    /// File with the issuer's public keys: a JSON Web Key Set (RFC 7517).
    pub keys: PathBuf,
}

/// Reason why tokens cannot be verified.
#[derive(Debug, thiserror::Error)]
pub enum TokenSettingsError {
    /// The file of the keys cannot be read.
    #[error("cannot read the keys of tokens {}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Error of the system.
        source: std::io::Error,
    },
    /// The file does not hold keys.
    #[error("{} is no JSON Web Key Set with a key that can be used: {why}", file.display())]
    Keys {
        /// The file.
        file: PathBuf,
        /// Mistake in the file.
        why: String,
    },
    /// An algorithm is unknown, or shares a secret between those who sign and those who verify.
    #[error(
        "tokens.algorithms: '{0}' is not taken; give some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA"
    )]
    Algorithm(String),
}

/// Reason why a token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// The text is not a token.
    #[error("it is neither a key nor a token")]
    Malformed,
    /// The signature, the issuer, the audience or the algorithm is not the one that is pinned.
    #[error("its signature, algorithm, issuer or audience is not the one that is configured")]
    Untrusted,
    /// The token's time is over or has not begun.
    #[error("its time is over or has not begun")]
    Expired,
    /// The token names a role or a pattern that is unknown.
    #[error("its claims slotwise_roles and slotwise_slots must be lists of known roles and of patterns of slots")]
    Claims,
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    /// Seconds since 1970.
    exp: f64,
    slotwise_roles: Vec<String>,
    #[serde(default)]
    slotwise_slots: Option<Vec<String>>,
}

/// Verifier of tokens.
pub struct TokenVerifier {
    keys: Vec<(Option<String>, DecodingKey)>,
    validations: Vec<(Algorithm, Validation)>,
}

impl std::fmt::Debug for TokenVerifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenVerifier").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

fn algorithm(name: &str) -> Result<Algorithm, TokenSettingsError> {
    Ok(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        other => return Err(TokenSettingsError::Algorithm(other.to_owned())),
    })
}

impl TokenVerifier {
    /// Reads the keys and checks the settings.
    ///
    /// # Errors
    ///
    /// [`TokenSettingsError`] of each kind.
    pub fn new(settings: &TokenSettings) -> Result<Self, TokenSettingsError> {
        let TokenSettings { issuer, audience, algorithms, keys: file } = settings;
        let text =
            fs::read_to_string(file).map_err(|source| TokenSettingsError::Read { file: file.clone(), source })?;
        let wrong = |why: String| TokenSettingsError::Keys { file: file.clone(), why };
        let set: JwkSet = serde_json::from_str(&text).map_err(|why| wrong(why.to_string()))?;
        let key = |jwk: &jsonwebtoken::jwk::Jwk| Some((jwk.common.key_id.clone(), DecodingKey::from_jwk(jwk).ok()?));
        let keys: Vec<_> = set.keys.iter().filter_map(key).collect();
        if keys.is_empty() {
            return Err(wrong("it has none".into()));
        }
        let validation = |name: &String| {
            let algorithm = algorithm(name)?;
            let mut validation = Validation::new(algorithm);
            validation.set_issuer(&[issuer]);
            validation.set_audience(&[audience]);
            validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
            validation.validate_nbf = true;
            validation.leeway = 30;
            Ok((algorithm, validation))
        };
        let validations = algorithms.iter().map(validation).collect::<Result<Vec<_>, TokenSettingsError>>()?;
        if validations.is_empty() {
            return Err(TokenSettingsError::Algorithm(String::new()));
        }
        Ok(Self { keys, validations })
    }

    /// Verifies a token, and returns the caller that it names.
    ///
    /// # Errors
    ///
    /// [`TokenRefusal`] of each kind.
    pub fn verify(&self, token: &str) -> Result<Caller, TokenRefusal> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenRefusal::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenRefusal::Malformed)?;
        let validation = self.validations.iter().find(|(algorithm, _)| *algorithm == header.alg);
        let Some((_, validation)) = validation else { return Err(TokenRefusal::Untrusted) };
        // A token without a key id is tried with each key, of which there are a few.
        let candidates = self.keys.iter().filter(|(id, _)| header.kid.is_none() || *id == header.kid);
        let mut refusal = TokenRefusal::Untrusted;
        for (_, key) in candidates {
            match decode::<Claims>(token, key, validation) {
                Ok(decoded) => return caller(decoded.claims),
                Err(why) => {
                    use jsonwebtoken::errors::ErrorKind::{ExpiredSignature, ImmatureSignature, Json};
                    if matches!(why.kind(), ExpiredSignature | ImmatureSignature) {
                        refusal = TokenRefusal::Expired;
                    } else if matches!(why.kind(), Json(_)) {
                        refusal = TokenRefusal::Claims;
                    }
                }
            }
        }
        Err(refusal)
    }
}

fn caller(claims: Claims) -> Result<Caller, TokenRefusal> {
    let Claims { sub, exp, slotwise_roles, slotwise_slots } = claims;
    let role = |name: &String| Role::ALL.into_iter().find(|role| role.name() == name).ok_or(TokenRefusal::Claims);
    let roles: BTreeSet<Role> = slotwise_roles.iter().map(role).collect::<Result<_, _>>()?;
    let patterns = slotwise_slots.unwrap_or_else(|| vec!["*".to_owned()]);
    let slots = patterns.iter().map(|text| text.parse::<SlotPattern>().map_err(|_| TokenRefusal::Claims));
    #[expect(clippy::cast_possible_truncation, reason = "kept within the range of times")]
    let until_us = (exp.clamp(0.0, 9e12) * 1e6) as i64;
    Ok(Caller::new(sub, roles, slots.collect::<Result<_, _>>()?).until(until_us))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    /// Key pair of Ed25519 in PKCS 8, of which the file has the public half. Its seed is 32 bytes of 7.
    fn pair() -> (EncodingKey, serde_json::Value) {
        use data_encoding::BASE64URL_NOPAD;
        let seed = [7_u8; 32];
        let prefix = [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
        let document = [&prefix[..], &seed].concat();
        // The public key of this seed, by RFC 8032.
        let public = [
            0xea, 0x4a, 0x6c, 0x63, 0xe2, 0x9c, 0x52, 0x0a, 0xbe, 0xf5, 0x50, 0x7b, 0x13, 0x2e, 0xc5, 0xf9, 0x95, 0x47,
            0x76, 0xae, 0xbe, 0xbe, 0x7b, 0x92, 0x42, 0x1e, 0xea, 0x69, 0x14, 0x46, 0xd2, 0x2c,
        ];
        let set =
            json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": BASE64URL_NOPAD.encode(&public)}]});
        (EncodingKey::from_ed_der(&document), set)
    }

    fn settings(folder: &std::path::Path, set: &serde_json::Value) -> TokenSettings {
        let keys = folder.join("keys.json");
        fs::write(&keys, set.to_string()).unwrap();
        TokenSettings {
            issuer: "https://id.example".into(),
            audience: "slotwise".into(),
            algorithms: vec!["EdDSA".into()],
            keys,
        }
    }

    #[test]
    fn a_token_of_the_pinned_issuer_names_its_caller_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let (private, set) = pair();
        let verifier = TokenVerifier::new(&settings(folder.path(), &set)).unwrap();
        let claims = |change: serde_json::Value| {
            let mut claims = json!({
                "sub": "anna", "iss": "https://id.example", "aud": "slotwise", "exp": 4_000_000_000_u64,
                "slotwise_roles": ["view", "tune"], "slotwise_slots": ["offers*"],
            });
            claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            claims
        };
        let signed = |kid: Option<&str>, claims: serde_json::Value| {
            let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::EdDSA) };
            encode(&header, &claims, &private).unwrap()
        };
        let token = signed(Some("k1"), claims(json!({})));
        let caller = verifier.verify(&token).unwrap();
        assert_eq!(caller.principal(), "anna");
        assert!(caller.has(Role::Tune) && !caller.has(Role::Admin));
        assert!(!caller.has_ended(4_000_000_000_000_000 - 1) && caller.has_ended(4_000_000_000_000_000));
        assert!(caller.reaches("offers-2") && !caller.reaches("search") && !caller.reaches_all());
        assert!(verifier.verify(&signed(None, claims(json!({"slotwise_slots": null})))).unwrap().reaches_all());

        for (change, refusal) in [
            (json!({"exp": 1_000}), TokenRefusal::Expired),
            (json!({"nbf": 4_000_000_000_u64}), TokenRefusal::Expired),
            (json!({"iss": "https://other.example"}), TokenRefusal::Untrusted),
            (json!({"aud": "another"}), TokenRefusal::Untrusted),
            (json!({"slotwise_roles": ["root"]}), TokenRefusal::Claims),
            (json!({"slotwise_roles": "admin"}), TokenRefusal::Claims),
            (json!({"slotwise_slots": ["a b"]}), TokenRefusal::Claims),
        ] {
            assert_eq!(verifier.verify(&signed(Some("k1"), claims(change.clone()))).unwrap_err(), refusal, "{change}");
        }
        assert_eq!(verifier.verify(&signed(Some("k2"), claims(json!({})))).unwrap_err(), TokenRefusal::Untrusted);
        let mut forged = token.clone().into_bytes();
        let last = forged.len() - 3;
        forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
        let forged = String::from_utf8(forged).unwrap();
        assert_eq!(verifier.verify(&forged).unwrap_err(), TokenRefusal::Untrusted);
        // The public key as the secret of a symmetric algorithm, and no algorithm at all.
        let symmetric = encode(&Header::new(Algorithm::HS256), &claims(json!({})), &EncodingKey::from_secret(b"x"));
        assert_eq!(verifier.verify(&symmetric.unwrap()).unwrap_err(), TokenRefusal::Untrusted);
        for text in ["", "a.b.c", "eyJhbGciOiJub25lIn0.e30.", &"a".repeat(10_000)] {
            assert_eq!(verifier.verify(text).unwrap_err(), TokenRefusal::Malformed, "{text}");
        }
    }

    #[test]
    fn wrong_settings_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let (_, set) = pair();
        let of = |algorithms: &[&str], set: &serde_json::Value| {
            let algorithms = algorithms.iter().map(|&name| name.to_owned()).collect();
            let wrong = TokenSettings { algorithms, ..settings(folder.path(), set) };
            TokenVerifier::new(&wrong).unwrap_err().to_string()
        };
        assert!(of(&["HS256"], &set).contains("'HS256' is not taken"));
        assert!(of(&[], &set).contains("give some of RS256"));
        assert!(of(&["EdDSA"], &json!({"keys": []})).contains("it has none"));
        assert!(of(&["EdDSA"], &json!([])).contains("no JSON Web Key Set"));
    }
}
