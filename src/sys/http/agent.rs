//! The client underneath: ureq, with all that it would do by itself switched off.

use super::wire::Opener;
use super::{Door, Reach};
use std::path::Path;
use std::time::Duration;
use ureq::config::ConfigBuilder;
use ureq::typestate::AgentScope;

/// Largest header of a reply. The input buffer is larger, else ureq reports an overlong header as a closed connection.
pub const HEADER_LIMIT: usize = 16 << 10;
/// ureq clears its buffers, and each page that is touched costs a fault; hence no larger than they must be.
const INPUT_BUFFER: usize = 20 << 10;
const OUTPUT_BUFFER: usize = 8 << 10;
/// Longest file of certificates that is read; the list of all public authorities is 0.2 MB.
#[cfg(feature = "tls")]
const CA_LIMIT: u64 = 1 << 20;

/// Makes one for a run. The authorities in the PEM file `ca_file` are trusted and no others; an empty path: the public
/// ones, which are built in. The machine's own list is not asked: whoever may add to it could read along.
///
/// # Errors
/// Why the file cannot be used, in words for people.
pub fn new(reach: Reach, connect_timeout: Duration, ca_file: &Path) -> Result<ureq::Agent, String> {
    let config = ureq::Agent::config_builder()
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .accept_encoding("identity")
        .user_agent(concat!("mux/", env!("CARGO_PKG_VERSION")))
        .timeout_connect(Some(connect_timeout))
        .max_response_header_size(HEADER_LIMIT)
        .input_buffer_size(INPUT_BUFFER)
        .output_buffer_size(OUTPUT_BUFFER);
    let connector = Opener;
    #[cfg(feature = "tls")]
    let connector = ureq::unversioned::transport::Connector::<()>::chain(
        connector,
        ureq::unversioned::transport::RustlsConnector::default(),
    );
    Ok(ureq::Agent::with_parts(trust(config, ca_file)?.build(), connector, Door(reach)))
}

#[cfg(feature = "tls")]
fn trust(config: ConfigBuilder<AgentScope>, ca_file: &Path) -> Result<ConfigBuilder<AgentScope>, String> {
    use std::io::Read as _;
    use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
    if ca_file.as_os_str().is_empty() {
        return Ok(config);
    }
    let fault = |why: String| format!("cannot use `ca_file` `{}`: {why}", ca_file.display());
    let pem = fs_err::File::open(ca_file).map_err(|error| fault(error.kind().to_string()))?;
    let mut text = Vec::new();
    pem.take(CA_LIMIT).read_to_end(&mut text).map_err(|error| fault(error.kind().to_string()))?;
    let mut roots = Vec::new();
    for item in parse_pem(&text) {
        let PemItem::Certificate(root) = item.map_err(|error| fault(error.to_string()))? else {
            return Err(fault("it holds more than certificates".into()));
        };
        roots.push(root);
    }
    if roots.is_empty() {
        return Err(fault("no certificate in it (wanted: PEM, `-----BEGIN CERTIFICATE-----`)".into()));
    }
    Ok(config.tls_config(TlsConfig::builder().root_certs(RootCerts::new_with_certs(&roots)).build()))
}

/// A build without TLS meets no certificate.
#[cfg(not(feature = "tls"))]
#[expect(clippy::unnecessary_wraps, reason = "its twin reads a file")]
fn trust(config: ConfigBuilder<AgentScope>, _: &Path) -> Result<ConfigBuilder<AgentScope>, String> {
    Ok(config)
}
