//! A model server as a call needs it: where it is, which model, and the key.

use std::fmt;

/// A key. It is shown nowhere: not by `Debug`, not in an error, not in a record.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// One server and the model to ask there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// With its version, without a slash at the end: `http://127.0.0.1:8080/v1`.
    pub base_url: String,
    /// As it is sent; the reply says which model really answered.
    pub model: String,
    /// Goes only into the `Authorization` header of requests to `base_url`.
    pub key: Option<Secret>,
    /// Tokens that fit, prompt and reply together; `None` until it was asked or learned on the way.
    pub window: Option<u64>,
}

impl Secret {
    /// Returns the key, or `None` for a blank one: an empty variable is no key.
    pub fn new(text: &str) -> Option<Secret> {
        let text = text.trim();
        (!text.is_empty()).then(|| Secret(text.to_string()))
    }

    /// Returns the key itself: for the header, and to blank it out of what a server says.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Server {
    /// Returns the address of a call below the version: `api("/models")` is `http://127.0.0.1:8080/v1/models`.
    pub fn api(&self, path: &str) -> String {
        format!("{}{path}", self.base_url.trim_end_matches('/'))
    }

    /// Returns the address of a call beside the version: `root("/health")` is `http://127.0.0.1:8080/health`.
    pub fn root(&self, path: &str) -> String {
        let base = self.base_url.trim_end_matches('/');
        format!("{}{path}", base.strip_suffix("/v1").unwrap_or(base))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_built_from_any_spelling_of_the_base() {
        for (base_url, api, root) in [
            ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1/models", "http://127.0.0.1:8080/health"),
            ("http://127.0.0.1:8080/v1/", "http://127.0.0.1:8080/v1/models", "http://127.0.0.1:8080/health"),
            ("http://localhost:1/s/x/v1", "http://localhost:1/s/x/v1/models", "http://localhost:1/s/x/health"),
            ("http://localhost:1", "http://localhost:1/models", "http://localhost:1/health"),
        ] {
            let server = Server { base_url: base_url.into(), model: String::new(), key: None, window: None };
            assert_eq!((server.api("/models").as_str(), server.root("/health").as_str()), (api, root), "{base_url}");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        let key = Secret::new(" sk-1 ").expect("a key");
        assert_eq!((key.reveal(), format!("{key:?}").as_str()), ("sk-1", "Secret(…)"));
        assert_eq!(Secret::new(" \n"), None);
    }
}
