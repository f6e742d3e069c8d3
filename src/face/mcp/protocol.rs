//! The protocol's fixed answers, and which of its two eras a request belongs to: with a handshake (2024-11-05 to
//! 2025-11-25), or without one, every request saying who asks (2026-07-28). Both at any time on one wire: a client that
//! probed for the new one may go on with the old.

use crate::face::mcp::tools::{self, INSTRUCTIONS};
use crate::rules::client::{LEGACY, MODERN, revision};
use crate::rules::rpc::{
    Fault, INVALID_PARAMS, Id, METHOD_NOT_FOUND, Object, UNSUPPORTED_VERSION, is_null, json, object, text,
};
use serde_json::json as value;

const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
const CLIENT_KEY: &str = "io.modelcontextprotocol/clientInfo";
const SUBSCRIPTION_KEY: &str = "io.modelcontextprotocol/subscriptionId";
/// How long a client may keep the lists: they change with the program only.
const TTL_MS: u32 = 3_600_000;

/// Which era a request speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Era {
    Handshake,
    Modern,
}

/// What a request says about itself beside its parameters.
pub struct Meta {
    pub era: Era,
    /// The client's name, where the request gives it.
    pub client: Option<String>,
    /// What the client wants its progress to be marked with.
    pub token: Option<Id>,
}

/// A handshake.
pub struct Hello {
    pub version: &'static str,
    pub client: String,
    pub has_roots: bool,
}

/// Reads the `_meta` of a request.
///
/// # Errors
/// `-32602` for metadata that is not whole, `-32022` for a revision that is not spoken here.
pub fn meta(id: &Id, params: &Object<'_>) -> Result<Meta, Fault> {
    let fault = |what: String| Fault::new(Some(id.clone()), INVALID_PARAMS, what);
    let fields = match params.get("_meta") {
        None => Object::new(),
        Some(raw) if is_null(raw) => Object::new(),
        Some(raw) => object(raw).ok_or_else(|| fault("`_meta` must be an object".into()))?,
    };
    let token = fields.get("progressToken").copied().and_then(Id::read);
    let Some(version) = fields.get(VERSION_KEY) else {
        return Ok(Meta { era: Era::Handshake, client: None, token });
    };
    if text(version).as_deref() != Some(MODERN) {
        let supported: Vec<&str> = [MODERN].into_iter().chain(LEGACY.into_iter().rev()).collect();
        let data = format!("{{\"supported\":{},\"requested\":{}}}", json(&supported), version.get());
        let what = Fault::new(Some(id.clone()), UNSUPPORTED_VERSION, "unsupported protocol version");
        return Err(Fault { data: Some(data), ..what });
    }
    if fields.get(CAPABILITIES_KEY).copied().and_then(object).is_none() {
        return Err(fault(format!("`_meta` must hold `{CAPABILITIES_KEY}`")));
    }
    let client = fields.get(CLIENT_KEY).copied().and_then(object).and_then(|info| text(info.get("name")?));
    Ok(Meta { era: Era::Modern, client: Some(client.unwrap_or_default()), token })
}

/// Reads the parameters of `initialize`.
///
/// # Errors
/// `-32602` without a protocol version.
pub fn hello(id: &Id, params: &Object<'_>) -> Result<Hello, Fault> {
    let asked = params.get("protocolVersion").copied().and_then(text);
    let missing = || Fault::new(Some(id.clone()), INVALID_PARAMS, "`initialize` needs `protocolVersion`");
    let name = params.get("clientInfo").copied().and_then(object).and_then(|info| text(info.get("name")?));
    let capabilities = params.get("capabilities").copied().and_then(object).unwrap_or_default();
    Ok(Hello {
        version: revision(&asked.ok_or_else(missing)?),
        client: name.unwrap_or_default(),
        has_roots: capabilities.get("roots").copied().and_then(object).is_some(),
    })
}

fn server_info() -> serde_json::Value {
    value!({"name": "mux", "title": "mux", "version": env!("CARGO_PKG_VERSION")})
}

/// Returns the answer to a handshake.
pub fn welcome(version: &str) -> String {
    value!({
        "protocolVersion": version,
        "capabilities": {"tools": {}},
        "serverInfo": server_info(),
        "instructions": INSTRUCTIONS,
    })
    .to_string()
}

/// Returns the answer to `server/discover`.
pub fn discovered() -> String {
    let supported: Vec<&str> = [MODERN].into_iter().chain(LEGACY.into_iter().rev()).collect();
    let start = format!(
        "{{\"supportedVersions\":{},\"capabilities\":{{\"tools\":{{}}}},\"instructions\":{}",
        json(&supported),
        json(&INSTRUCTIONS)
    );
    format!("{start}{}{}}}", lasting(Era::Modern), stamp(Era::Modern))
}

/// Returns the answer to `tools/list`.
pub fn tools(era: Era) -> String {
    format!("{{\"tools\":{}{}{}}}", tools::list(), lasting(era), stamp(era))
}

/// Returns what the results of an era hold beside what was asked, beginning with a comma.
pub fn stamp(era: Era) -> String {
    match era {
        Era::Handshake => String::new(),
        Era::Modern => format!(
            ",\"resultType\":\"complete\",\"_meta\":{{\"io.modelcontextprotocol/serverInfo\":{}}}",
            server_info()
        ),
    }
}

fn lasting(era: Era) -> String {
    match era {
        Era::Handshake => String::new(),
        Era::Modern => format!(",\"ttlMs\":{TTL_MS},\"cacheScope\":\"public\""),
    }
}

/// Returns the parameters of the notification that a subscription is taken. Nothing here ever changes, so nothing
/// follows it.
pub fn subscribed(id: &Id) -> String {
    format!("{{\"_meta\":{{\"{SUBSCRIPTION_KEY}\":{}}},\"notifications\":{{}}}}", id.as_json())
}

/// Returns the fault of a method that does not exist in the era of the request.
pub fn unknown(id: &Id, method: &str) -> Fault {
    let shown: String = method.chars().take(100).collect();
    Fault::new(Some(id.clone()), METHOD_NOT_FOUND, format!("there is no method `{shown}`"))
}
