//! Where a try runs, and what was asked for.

use crate::words::name::Name;
use serde::Serialize;

/// One of the cloud CLIs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Provider {
    Claude,
    Codex,
    Gemini,
    /// One that the user declares in `providers.sota_cli.tools`.
    #[serde(untagged)]
    Declared(Name),
}

/// Where a try runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    Local,
    Claude,
    Codex,
    Gemini,
    /// No route succeeded.
    None,
    #[serde(untagged)]
    Declared(Name),
}

/// What `--route` asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    #[default]
    Auto,
    Local,
    /// Any provider, in the configured order.
    Cloud,
    Claude,
    Codex,
    Gemini,
    /// A name that may be declared; whether it is, the configuration says.
    #[serde(untagged)]
    Declared(Name),
}

impl Provider {
    /// Returns the provider of that name; `None` for what can be no name.
    pub fn named(name: &str) -> Option<Provider> {
        Some(match name {
            "claude" => Provider::Claude,
            "codex" => Provider::Codex,
            "gemini" => Provider::Gemini,
            name => Provider::Declared(Name::parse(name)?),
        })
    }

    pub fn name(&self) -> &str {
        match self {
            Provider::Claude => "claude",
            Provider::Codex => "codex",
            Provider::Gemini => "gemini",
            Provider::Declared(name) => name.as_str(),
        }
    }

    pub fn route(self) -> Route {
        match self {
            Provider::Claude => Route::Claude,
            Provider::Codex => Route::Codex,
            Provider::Gemini => Route::Gemini,
            Provider::Declared(name) => Route::Declared(name),
        }
    }

    /// Returns what `--route` says to ask for this provider and no other.
    pub fn asked(self) -> Asked {
        match self {
            Provider::Claude => Asked::Claude,
            Provider::Codex => Asked::Codex,
            Provider::Gemini => Asked::Gemini,
            Provider::Declared(name) => Asked::Declared(name),
        }
    }
}

impl Route {
    /// How records name it; a CLI that is declared has a name of its own.
    pub const NAMES: [&'static str; 5] = ["local", "claude", "codex", "gemini", "none"];

    pub fn name(&self) -> &str {
        match self {
            Route::Local => "local",
            Route::Claude => "claude",
            Route::Codex => "codex",
            Route::Gemini => "gemini",
            Route::None => "none",
            Route::Declared(name) => name.as_str(),
        }
    }
}

impl Asked {
    /// The words that need no configuration.
    pub const NAMES: [&'static str; 6] = ["auto", "local", "cloud", "claude", "codex", "gemini"];

    pub fn name(&self) -> &str {
        match self {
            Asked::Auto => "auto",
            Asked::Local => "local",
            Asked::Cloud => "cloud",
            Asked::Claude => "claude",
            Asked::Codex => "codex",
            Asked::Gemini => "gemini",
            Asked::Declared(name) => name.as_str(),
        }
    }

    /// Reads the value of `--route`: one of mux's own words, or a name that the configuration may declare.
    pub fn parse(text: &str) -> Option<Asked> {
        Some(match text {
            "auto" => Asked::Auto,
            "local" => Asked::Local,
            "cloud" => Asked::Cloud,
            "claude" => Asked::Claude,
            "codex" => Asked::Codex,
            "gemini" => Asked::Gemini,
            name => Asked::Declared(Name::parse(name)?),
        })
    }

    /// Returns the provider that was asked for by name.
    pub fn provider(self) -> Option<Provider> {
        match self {
            Asked::Auto | Asked::Local | Asked::Cloud => None,
            Asked::Claude => Some(Provider::Claude),
            Asked::Codex => Some(Provider::Codex),
            Asked::Gemini => Some(Provider::Gemini),
            Asked::Declared(name) => Some(Provider::Declared(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_cli_is_a_plain_word_in_the_ledger() {
        for name in ["claude", "codex", "gemini", "agy"] {
            let asked = Asked::parse(name).unwrap();
            let provider = asked.provider().unwrap();
            assert_eq!((Some(provider), provider.name()), (Provider::named(name), name));
            for json in [
                serde_json::to_string(&asked).unwrap(),
                serde_json::to_string(&provider).unwrap(),
                serde_json::to_string(&provider.route()).unwrap(),
                serde_json::to_string(provider.route().name()).unwrap(),
            ] {
                assert_eq!(json, format!("\"{name}\""));
            }
        }
        assert_eq!(Asked::parse("cloud").and_then(Asked::provider), None);
    }
}
