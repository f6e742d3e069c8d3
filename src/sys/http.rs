//! HTTP: the one place that opens sockets. One [`Http`] for each run; retries, clocks and meaning belong to callers.
//!
//! **Invariants:** an address is contacted only if [`Reach`] admits it, and names are resolved only where other machines
//! are allowed at all. No proxy, no redirect, no compression. A key is in the `Authorization` header and nowhere else.
//! A call runs on the caller's thread and ends with its [`Stop`] (`wire.rs`).

mod agent;
mod wire;

use crate::words::server::Secret;
use crate::words::stop::{Stop, StopReason};
use crate::words::task::{Failure, Phase, Refusal};
use std::io::{self, Read as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::BodyReader;
use ureq::http::{HeaderMap, HeaderValue, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Most bytes that are handed over at once.
const BLOCK: usize = 8 << 10;
/// As many as ureq tries.
const MOST_ADDRESSES: usize = 16;

/// Which machines may be contacted. `local_only` wins over `allow_remote`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    pub allow_remote: bool,
    pub local_only: bool,
}

/// The HTTP client of one run.
pub struct Http {
    reach: Reach,
    connect_timeout: Duration,
    /// See [`Http::trusting`].
    ca_file: PathBuf,
    /// Made when it is needed.
    agent: Mutex<Option<ureq::Agent>>,
}

/// A whole answer of any status but 3xx.
#[derive(Debug, PartialEq)]
pub struct Response {
    pub status: u16,
    pub body: Vec<u8>,
}

/// What to send.
pub struct Request<'a> {
    pub url: &'a str,
    pub key: Option<&'a Secret>,
    /// JSON to POST; without it the call is a GET.
    pub body: Option<&'a [u8]>,
    /// Bound of the whole call, from resolving to the last byte.
    pub timeout: Duration,
}

/// An answer whose body is still to come. Dropping it before its end closes the connection at once.
pub struct Answer {
    pub status: u16,
    /// The header of that name, if it is a number of seconds.
    pub retry_after: Option<Duration>,
    body: BodyReader<'static>,
    begun: Instant,
}

/// What the host of a URL is.
enum Host {
    Localhost,
    Address(IpAddr),
    Name,
}

impl Reach {
    /// Returns why `url` must not be contacted, in words for people. Asks no resolver.
    ///
    /// # Errors
    /// The reason; it never repeats a user name or password.
    pub fn check(self, url: &str) -> Result<(), String> {
        self.admit(&parse(url)?).map(drop)
    }

    fn admit(self, uri: &Uri) -> Result<Host, String> {
        let host = host(uri)?;
        let what = match &host {
            Host::Localhost => return Ok(host),
            Host::Address(ip) if ip.is_loopback() => return Ok(host),
            Host::Address(ip) if ip.is_unspecified() => {
                return Err(format!("`{ip}` is where a server listens, not where it is: write 127.0.0.1"));
            }
            Host::Address(ip) => format!("`{ip}` is another machine"),
            Host::Name => format!("`{}` is a name that may belong to another machine", uri.host().unwrap_or_default()),
        };
        match self {
            Reach { local_only: true, .. } => Err(format!("{what}, and local-only is on")),
            Reach { allow_remote: false, .. } => Err(format!("{what}, and `allow_remote` is off")),
            Reach { .. } => Ok(host),
        }
    }
}

/// Returns whether a URL may lead to another machine: then the user is told that code leaves this one. True for what is
/// no URL at all.
pub fn is_remote(url: &str) -> bool {
    Reach { allow_remote: false, local_only: true }.check(url).is_err()
}

/// Returns host and port of a URL, for the doctor.
pub fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri = parse(url).ok()?;
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    Some((uri.host()?.to_string(), uri.port_u16().unwrap_or(default)))
}

impl Http {
    pub fn new(reach: Reach, connect_timeout: Duration) -> Http {
        Http { reach, connect_timeout, ca_file: PathBuf::new(), agent: Mutex::new(None) }
    }

    /// Trusts the authorities in a PEM file and no others; an empty path changes nothing. Read at the first call.
    pub fn trusting(self, ca_file: &Path) -> Http {
        Http { ca_file: ca_file.to_path_buf(), ..self }
    }

    /// Opens and closes one connection, for the doctor; nothing is sent.
    ///
    /// # Errors
    /// Why the host may not be contacted, or does not answer.
    pub fn touch(&self, host: &str, port: u16) -> Result<(), String> {
        self.reach.check(&format!("http://{host}:{port}/"))?;
        let found = (host, port).to_socket_addrs().map_err(|error| error.to_string())?.next();
        let address = found.ok_or("the name has no address")?;
        TcpStream::connect_timeout(&address, self.connect_timeout).map(drop).map_err(|error| error.to_string())
    }

    /// Fetches a whole answer of at most `limit` bytes.
    ///
    /// # Errors
    /// `Down` when nobody answers, `Timeout`, `Http` for a 3xx, `Protocol` for anything that is not sound HTTP or too
    /// large, `Stopped`.
    pub fn fetch(&self, request: &Request<'_>, limit: usize, stop: &Stop) -> Result<Response, Failure> {
        let until = Instant::now() + request.timeout;
        let mut answer = self.start(request, stop, until)?;
        let mut response = Response { status: answer.status, body: Vec::new() };
        loop {
            let bytes = answer.next(stop, until)?;
            if bytes.is_empty() {
                return Ok(response);
            }
            if response.body.len() + bytes.len() > limit {
                return Err(Failure::Protocol { why: format!("an answer over {limit} bytes") });
            }
            response.body.extend_from_slice(&bytes);
        }
    }

    /// Gets a whole answer; see [`Http::fetch`].
    ///
    /// # Errors
    /// As [`Http::fetch`].
    pub fn get(
        &self,
        url: &str,
        key: Option<&Secret>,
        timeout: Duration,
        limit: usize,
        stop: &Stop,
    ) -> Result<Response, Failure> {
        self.fetch(&Request { url, key, body: None, timeout }, limit, stop)
    }

    /// Makes a call, and waits for its head until `until`; the body is taken with [`Answer::next`].
    ///
    /// # Errors
    /// `Down` before any answer, so that the call may be tried again, and with the reason when the address must not be
    /// contacted, or the key or the certificates cannot be used. Else as [`Http::fetch`].
    pub fn start(&self, request: &Request<'_>, stop: &Stop, until: Instant) -> Result<Answer, Failure> {
        let down = |why: String| Failure::Down { why };
        let uri = parse(request.url).and_then(|uri| self.reach.admit(&uri).map(|_| uri)).map_err(down)?;
        let key = request.key.map(|key| HeaderValue::from_str(&format!("Bearer {}", key.reveal()))).transpose();
        let key = key.map_err(|_| down("the key has characters that a header cannot hold".into()))?;
        let agent = self.agent().map_err(down)?;
        let begun = Instant::now();
        let answer = wire::within(stop, until, || perform(&agent, &uri, key, request.body, request.timeout));
        answer.map_err(|failure| why_ended(stop, begun).unwrap_or(failure))
    }

    fn agent(&self) -> Result<ureq::Agent, String> {
        let mut made = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = &*made {
            return Ok(agent.clone());
        }
        let agent = agent::new(self.reach, self.connect_timeout, &self.ca_file)?;
        Ok(made.insert(agent).clone())
    }
}

impl Answer {
    /// Waits for the next bytes, until `until`; none: the answer is complete, as far as its framing can tell. A cut body
    /// without a length ends like this, too.
    ///
    /// # Errors
    /// `Timeout`, `Protocol`, `Stopped`.
    pub fn next(&mut self, stop: &Stop, until: Instant) -> Result<Vec<u8>, Failure> {
        let mut block = vec![0; BLOCK];
        let read = wire::within(stop, until, || self.body.read(&mut block));
        let length =
            read.map_err(|error| why_ended(stop, self.begun).unwrap_or_else(|| cut(error, self.begun.elapsed())))?;
        block.truncate(length);
        Ok(block)
    }
}

/// Why a call had to end, if its [`Stop`] has fired.
fn why_ended(stop: &Stop, begun: Instant) -> Option<Failure> {
    stop.reason().map(|reason| stopped(reason, begun.elapsed()))
}

/// Returns the failure of a call whose [`Stop`] has fired, `after` it began.
pub fn stopped(reason: StopReason, after: Duration) -> Failure {
    match reason {
        StopReason::Deadline => Failure::Timeout { phase: Phase::Overall, after_ms: millis(after) },
        StopReason::Signal(_) | StopReason::Canceled => Failure::Stopped { why: Refusal::Canceled },
    }
}

/// Returns whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Does a call as far as the head of its answer.
fn perform(
    agent: &ureq::Agent,
    uri: &Uri,
    key: Option<HeaderValue>,
    body: Option<&[u8]>,
    timeout: Duration,
) -> Result<Answer, Failure> {
    let begun = Instant::now();
    let mut headers = HeaderMap::new();
    headers.extend(key.map(|key| (ureq::http::header::AUTHORIZATION, key)));
    let answer = if let Some(body) = body {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
        let mut request = agent.post(uri);
        request.headers_mut().into_iter().for_each(|all| all.extend(headers.drain()));
        request.config().timeout_global(Some(timeout)).build().send(body)
    } else {
        let mut request = agent.get(uri);
        request.headers_mut().into_iter().for_each(|all| all.extend(headers.drain()));
        request.config().timeout_global(Some(timeout)).build().call()
    };
    let answer = answer.map_err(|error| no_answer(error, uri, begun.elapsed()))?;
    let status = answer.status().as_u16();
    let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
    if answer.status().is_redirection() {
        return Err(Failure::Http { status, message: "a redirect: mux follows none".into() });
    }
    if header("content-encoding").is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Failure::Protocol { why: "it is compressed, which was not asked for".into() });
    }
    let retry_after = header("retry-after").and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
    Ok(Answer { status, retry_after, body: answer.into_body().into_reader(), begun })
}

/// The failure of a call that brought no answer.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enums of ureq and io may grow")]
fn no_answer(error: ureq::Error, uri: &Uri, after: Duration) -> Failure {
    let down = |why: &str| Failure::Down { why: format!("{why} `{}`", uri.authority().map_or("", |a| a.as_str())) };
    match error {
        ureq::Error::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => down("nobody listens on"),
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => {
                down("the connection was closed without an answer by")
            }
            // rustls says it like this: which certificate it was given, and why that will not do.
            io::ErrorKind::InvalidData if cfg!(feature = "tls") => down(&format!("no TLS connection, {error}:")),
            kind => down(&format!("{kind} at")),
        },
        ureq::Error::HostNotFound => down("there is no host of the name"),
        ureq::Error::Timeout(phase) => {
            let phase = match phase {
                ureq::Timeout::Connect | ureq::Timeout::Resolve => Phase::Connect,
                _ => Phase::FirstToken,
            };
            Failure::Timeout { phase, after_ms: millis(after) }
        }
        ureq::Error::LargeResponseHeader(..) => {
            Failure::Protocol { why: format!("its header is larger than {} bytes", agent::HEADER_LIMIT) }
        }
        ureq::Error::Protocol(error) => Failure::Protocol { why: format!("not HTTP: {error}") },
        ureq::Error::Tls(_) | ureq::Error::TlsRequired => down("no TLS connection to"),
        ureq::Error::Other(why) => Failure::Down { why: why.to_string() },
        error => Failure::Protocol { why: error.to_string() },
    }
}

/// The failure of an answer that does not end as it should.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enums of ureq and io may grow")]
fn cut(error: io::Error, after: Duration) -> Failure {
    match ureq::Error::from(error) {
        ureq::Error::Timeout(_) => Failure::Timeout { phase: Phase::Overall, after_ms: millis(after) },
        ureq::Error::Protocol(error) => Failure::Protocol { why: format!("its framing is broken: {error}") },
        _ => Failure::Protocol { why: "it is cut off: the connection ended inside it".into() },
    }
}

fn parse(url: &str) -> Result<Uri, String> {
    // The parser's own errors may quote the URL, and with it a password.
    url.parse().map_err(|_| "not a URL (wanted: `http://127.0.0.1:PORT/v1`)".to_string())
}

/// Tells what the host of a URL is. Spellings that programs disagree about are refused: what one calls a name
/// (`127.1`, `0x7f.1`), `getaddrinfo` calls an address.
fn host(uri: &Uri) -> Result<Host, String> {
    let authority = uri.authority().ok_or("no host in the URL (wanted: `http://127.0.0.1:PORT/v1`)")?;
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") if cfg!(feature = "tls") => {}
        Some("https") => return Err("https needs a build with the cargo feature `tls`".into()),
        Some(_) | None => return Err("not an http URL".into()),
    }
    if authority.as_str().contains('@') {
        return Err("a user name or password in the URL: keys belong into `api_key_env`".into());
    }
    let host = authority.host();
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(Host::Localhost);
    }
    if let Ok(ip) = host.parse::<Ipv4Addr>() {
        return Ok(Host::Address(ip.into()));
    }
    if let Some(inner) = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        let ip: Ipv6Addr = inner.parse().map_err(|_| format!("`{host}` is no IPv6 address"))?;
        if ip.to_ipv4().is_some() && !ip.is_loopback() && !ip.is_unspecified() {
            return Err(format!("`{host}` is an IPv4 address in disguise: write it plainly"));
        }
        return Ok(Host::Address(ip.into()));
    }
    let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    if last.is_empty() || last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("`{host}` is an odd spelling of an address: write four numbers, 127.0.0.1"));
    }
    Ok(Host::Name)
}

/// Resolves what [`Reach`] admits. ureq connects to what this returns and to nothing else.
#[derive(Debug)]
struct Door(Reach);

impl Resolver for Door {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = self.0.admit(uri).map_err(|why| ureq::Error::Other(why.into()))?;
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let mut found = self.empty();
        match host {
            Host::Address(ip) => found.push(SocketAddr::new(ip, port)),
            Host::Localhost => {
                found.push((Ipv4Addr::LOCALHOST, port).into());
                found.push((Ipv6Addr::LOCALHOST, port).into());
            }
            Host::Name => {
                let name = uri.host().unwrap_or_default().to_string();
                let work = move || Ok((name, port).to_socket_addrs()?.collect::<Vec<_>>());
                // Whatever the system says of it.
                let is_unknown = |error: &ureq::Error| matches!(error, ureq::Error::Io(_));
                let asked = wire::aside(&timeout, work);
                let addresses =
                    asked.map_err(|error| if is_unknown(&error) { ureq::Error::HostNotFound } else { error })?;
                addresses.into_iter().take(MOST_ADDRESSES).for_each(|address| found.push(address));
            }
        }
        if found.is_empty() {
            return Err(ureq::Error::HostNotFound);
        }
        Ok(found)
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::io::Write as _;
    use std::net::TcpListener;
    use std::sync::Arc;

    pub const LOCAL: Reach = Reach { allow_remote: false, local_only: false };

    /// What a server does with one request; returns whether it keeps the connection.
    pub type Answer = Box<dyn FnOnce(&mut TcpStream) -> bool + Send>;

    /// A real server on loopback that gives its answers in order, one for each request, and then closes connections.
    pub struct Loopback {
        pub url: String,
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Loopback {
        /// Returns the requests so far, each with the number of its connection before it.
        pub fn seen(&self) -> Vec<String> {
            self.seen.lock().expect("no test panics while it holds this").clone()
        }
    }

    pub fn serve(answers: Vec<Answer>) -> Loopback {
        let answers = Mutex::new(VecDeque::from(answers));
        listen(move |_, stream| {
            let answer = answers.lock().expect("the answers").pop_front();
            answer.is_some_and(|answer| answer(stream))
        })
    }

    /// A server that answers by method and path, as often as it is asked; 404 for anything else.
    pub fn routes(routes: Vec<(&'static str, u16, &'static str)>) -> Loopback {
        listen(move |request, stream| {
            let asked = |route: &str| request.strip_prefix(route).is_some_and(|rest| rest.starts_with(' '));
            let answer = routes.iter().find(|(route, ..)| asked(route)).map_or((404, "{}"), |route| (route.1, route.2));
            json(answer.0, answer.1)(stream)
        })
    }

    fn listen(answer: impl Fn(&str, &mut TcpStream) -> bool + Send + Sync + 'static) -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (log, answer) = (Arc::clone(&seen), Arc::new(answer));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (mut stream, log, answer) = (stream.expect("a connection"), Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || {
                    while let Some(request) = read_request(&mut stream) {
                        log.lock().expect("the log").push(format!("{number} {request}"));
                        if !answer(&request, &mut stream) {
                            return;
                        }
                    }
                });
            }
        });
        Loopback { url, seen }
    }

    fn read_request(stream: &mut TcpStream) -> Option<String> {
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") {
            (stream.read(&mut byte).ok()? == 1).then(|| request.push(byte[0]))?;
        }
        let head = String::from_utf8(request).expect("a header in ASCII");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        Some(head + std::str::from_utf8(&body).expect("a body in UTF-8"))
    }

    /// Sends these bytes. The connection stays if the answer has a length or is chunked.
    pub fn raw(answer: impl Into<Vec<u8>>) -> Answer {
        let answer = answer.into();
        Box::new(move |stream| {
            let head = String::from_utf8_lossy(&answer).to_ascii_lowercase();
            stream.write_all(&answer).is_ok() && (head.contains("content-length:") || head.contains("chunked"))
        })
    }

    /// Sends these bytes and closes the connection, whatever they promise.
    pub fn last(answer: &str) -> Answer {
        let answer = answer.to_string();
        Box::new(move |stream| {
            let _ = stream.write_all(answer.as_bytes()); // the client may have had enough
            false
        })
    }

    pub fn json(status: u16, body: &str) -> Answer {
        raw(format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    /// Sends these bytes, then holds the connection until the client closes it, and tells that through `closed`.
    pub fn hold(start: &'static str, closed: std::sync::mpsc::Sender<()>) -> Answer {
        Box::new(move |stream| {
            stream.write_all(start.as_bytes()).expect("the client listens");
            while matches!(stream.read(&mut [0; 64]), Ok(1..)) {}
            let _ = closed.send(());
            false
        })
    }

    pub fn soon() -> Stop {
        Stop::at(Instant::now() + Duration::from_mins(1))
    }

    fn client() -> Http {
        Http::new(LOCAL, Duration::from_secs(5))
    }

    fn get(http: &Http, url: &str) -> Result<Response, Failure> {
        http.get(url, None, Duration::from_secs(20), 1000, &soon())
    }

    #[track_caller]
    fn refused(url: &str, why: &str) {
        let message = LOCAL.check(url).expect_err(url);
        assert!(message.contains(why), "{url}: {message}");
        assert_eq!(get(&client(), url), Err(Failure::Down { why: message }), "{url}");
    }

    #[test]
    fn only_plain_loopback_addresses_are_admitted() {
        for url in [
            "http://127.0.0.1:1/v1",
            "http://localhost:1",
            "http://LOCALHOST",
            "http://127.8.8.8/",
            "http://[::1]:1/v1",
        ] {
            assert_eq!(LOCAL.check(url), Ok(()), "{url}");
            assert!(!is_remote(url), "{url}");
        }
        refused("http://10.0.0.1/v1", "`10.0.0.1` is another machine, and `allow_remote` is off");
        refused("http://[2001:db8::1]/v1", "is another machine");
        refused("http://localhost.evil.invalid/v1", "is a name that may belong to another machine");
        refused("http://gpu-box:8080/v1", "is a name that may belong to another machine");
        refused("http://127.0.0.1@evil.invalid/v1", "a user name or password");
        refused("http://user:pass@127.0.0.1/v1", "a user name or password");
        refused("http://0x7f.1/v1", "an odd spelling");
        refused("http://127.1/v1", "an odd spelling");
        refused("http://0177.0.0.1/v1", "an odd spelling");
        refused("http://2130706433/v1", "an odd spelling");
        refused("http://127.0.0.1./v1", "an odd spelling");
        refused("http://0x7f000001./v1", "an odd spelling");
        refused("http://[::ffff:127.0.0.1]/v1", "an IPv4 address in disguise");
        refused("http://[::ffff:10.0.0.1]/v1", "an IPv4 address in disguise");
        refused("http://0.0.0.0:8080/v1", "write 127.0.0.1");
        refused("ftp://127.0.0.1/", "not an http URL");
        refused("file:///etc/hostname", "");
        refused("127.0.0.1:8080/v1", "");
        refused("/v1", "no host");
        refused("", "not a URL");
        refused("http://", "not a URL");
        if !cfg!(feature = "tls") {
            refused("https://127.0.0.1/v1", "https needs a build with the cargo feature `tls`");
        }
    }

    #[test]
    fn other_machines_need_permission_and_local_only_wins() {
        let (open, both) =
            (Reach { allow_remote: true, local_only: false }, Reach { allow_remote: true, local_only: true });
        for url in ["http://10.0.0.1/v1", "http://gpu-box:8080/v1"] {
            assert_eq!(open.check(url), Ok(()));
            assert!(both.check(url).expect_err(url).ends_with("local-only is on"));
            assert!(is_remote(url));
        }
        for url in ["http://127.1/v1", "http://u@gpu-box/v1", "http://[::ffff:10.0.0.1]/v1", "http://0x7f.1/"] {
            assert!(open.check(url).is_err(), "{url}");
        }
    }

    #[test]
    fn one_connection_serves_several_calls() {
        let server = serve(vec![json(200, "one"), json(404, "two")]);
        let http = client();
        assert_eq!(get(&http, &server.url), Ok(Response { status: 200, body: b"one".to_vec() }));
        assert_eq!(get(&http, &server.url), Ok(Response { status: 404, body: b"two".to_vec() }));
        let connections: Vec<_> = server.seen().iter().map(|request| request[..1].to_string()).collect();
        assert_eq!(connections, ["0", "0"]);
    }

    #[test]
    fn a_request_says_what_it_must_and_no_more() {
        let server = serve(vec![json(200, ""), json(200, "")]);
        let (http, key) = (client(), Secret::new("sk-1"));
        let request = Request {
            url: &format!("{}/v1/x", server.url),
            key: key.as_ref(),
            body: Some(b"{}"),
            timeout: Duration::from_secs(20),
        };
        http.fetch(&request, 10, &soon()).expect("an answer");
        get(&http, &server.url).expect("an answer");
        let host = server.url.strip_prefix("http://").expect("a scheme");
        let agent = concat!("user-agent: mux/", env!("CARGO_PKG_VERSION"));
        let mut lines: Vec<_> = server.seen()[0].lines().map(str::to_string).collect();
        lines[1..].sort();
        let host_line = format!("host: {host}");
        let mut expected = vec![
            "0 POST /v1/x HTTP/1.1",
            "",
            "accept-encoding: identity",
            "accept: */*",
            "authorization: Bearer sk-1",
            "content-length: 2",
            "content-type: application/json",
            &host_line,
            agent,
            "{}",
        ];
        expected[1..].sort_unstable();
        assert_eq!(lines, expected);
        assert!(!server.seen()[1].contains("authorization"));
    }

    #[test]
    fn redirects_are_errors() {
        for status in [301, 302, 303, 307, 308] {
            let canary = serve(vec![json(200, "stolen")]);
            let to = &canary.url;
            let server =
                serve(vec![raw(format!("HTTP/1.1 {status} X\r\nLocation: {to}/\r\nContent-Length: 0\r\n\r\n"))]);
            let message = "a redirect: mux follows none".to_string();
            assert_eq!(get(&client(), &server.url), Err(Failure::Http { status, message }));
            assert_eq!(canary.seen(), Vec::<String>::new());
        }
    }

    #[track_caller]
    fn unsound(answer: &str, why: &str) {
        let server = serve(vec![last(answer)]);
        match get(&client(), &server.url) {
            Err(Failure::Protocol { why: said }) => assert!(said.contains(why), "{said}"),
            other => panic!("{other:?} instead of {why}"),
        }
    }

    #[test]
    fn unsound_answers_are_errors() {
        unsound("HTTP/1.1 200 X\r\nContent-Length: 10\r\n\r\nshort", "it is cut off");
        unsound("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nshort", "it is cut off");
        unsound("HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\nZZZ\r\nhello\r\n", "its framing is broken");
        unsound("HTTP/1.1 200 X\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", "not HTTP");
        unsound("\x16\x03\x01SSH-2.0-evil\r\n\r\n", "not HTTP");
        unsound("HTTP/1.1 200 X\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx", "compressed");
        unsound(&format!("HTTP/1.1 200 X\r\nX-Big: {}", "h".repeat(1 << 20)), "larger than 16384 bytes");
        unsound(&format!("HTTP/1.1 200 X\r\n{}", "X-Y: z\r\n".repeat(1000)), "not HTTP");
        unsound(&"HTTP/1.1 100 Continue\r\n\r\n".repeat(1000), "");
        unsound(&format!("HTTP/1.1 200 X\r\n\r\n{}", "x".repeat(2000)), "over 1000 bytes");
        unsound("HTTP/1.1 200 X\r\nContent-Length: 1125899906842624\r\n\r\n{", "it is cut off");
    }

    #[test]
    fn nobody_there_is_down() {
        let closed = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        let down = |why: &str, at: &str| Err(Failure::Down { why: format!("{why} `{at}`") });
        assert_eq!(get(&client(), &format!("http://{closed}/")), down("nobody listens on", &closed.to_string()));
        let server = serve(vec![]);
        let at = server.url.strip_prefix("http://").expect("a scheme");
        assert_eq!(get(&client(), &server.url), down("the connection was closed without an answer by", at));
    }

    #[test]
    fn a_stop_ends_a_call_wherever_it_waits_and_later_calls_work() {
        let (closed, is_closed) = std::sync::mpsc::channel();
        for start in ["", "HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\nx", "HTTP/1.1 200 X\r\n\r\nx"] {
            let server = serve(vec![hold(start, closed.clone()), json(200, "again")]);
            let (http, stop, minute) = (client(), soon(), Duration::from_mins(1));
            let request = Request { url: &server.url, key: None, body: None, timeout: minute };
            let until = Instant::now() + minute;
            let ended = std::thread::scope(|scope| {
                let call = scope.spawn(|| {
                    let mut answer = http.start(&request, &stop, until)?;
                    assert_eq!(answer.next(&stop, until), Ok(b"x".to_vec()));
                    stop.cancel();
                    answer.next(&stop, until)
                });
                while server.seen().is_empty() {
                    std::thread::yield_now();
                }
                if start.is_empty() {
                    stop.cancel();
                }
                call.join().expect("the call")
            });
            assert_eq!(ended, Err(Failure::Stopped { why: Refusal::Canceled }), "{start}");
            is_closed.recv_timeout(minute).expect("the server sees the end");
            assert_eq!(get(&http, &server.url), Ok(Response { status: 200, body: b"again".to_vec() }));
        }
    }

    /// What a part of a call may take is bounded on its own.
    #[test]
    fn a_wait_ends_when_it_was_told_to() {
        let (closed, is_closed) = std::sync::mpsc::channel();
        let server = serve(vec![hold("HTTP/1.1 200 X\r\n\r\nx", closed)]);
        let (http, stop, minute) = (client(), soon(), Duration::from_mins(1));
        let request = Request { url: &server.url, key: None, body: None, timeout: minute };
        let mut answer = http.start(&request, &stop, Instant::now() + minute).expect("a head");
        assert_eq!(answer.next(&stop, Instant::now() + minute), Ok(b"x".to_vec()));
        let ended = answer.next(&stop, Instant::now() + Duration::from_millis(30));
        assert!(matches!(ended, Err(Failure::Timeout { phase: Phase::Overall, .. })), "{ended:?}");
        drop(answer);
        is_closed.recv_timeout(minute).expect("the server sees the end");
    }

    /// A body that is larger than the buffers of both sides waits for its reader.
    #[test]
    fn a_large_body_goes_out_whole() {
        let server = serve(vec![json(200, "thanks")]);
        let body = vec![b'x'; 16 << 20];
        let request = Request { url: &server.url, key: None, body: Some(&body), timeout: Duration::from_mins(1) };
        let answer = client().fetch(&request, 10, &soon());
        assert_eq!(answer, Ok(Response { status: 200, body: b"thanks".to_vec() }));
        assert!(server.seen()[0].ends_with(str::from_utf8(&body).expect("ASCII")));
    }

    #[test]
    fn a_stop_ends_a_silent_call() {
        let (closed, is_closed) = std::sync::mpsc::channel();
        let server = serve(vec![hold("", closed)]);
        let stop = soon();
        let canceler = {
            let (stop, seen) = (stop.clone(), Arc::clone(&server.seen));
            std::thread::spawn(move || {
                while seen.lock().expect("the log").is_empty() {
                    std::thread::yield_now();
                }
                stop.cancel();
            })
        };
        let answer = client().get(&server.url, None, Duration::from_mins(1), 9, &stop);
        assert_eq!(answer, Err(Failure::Stopped { why: Refusal::Canceled }));
        canceler.join().expect("the canceler");
        is_closed.recv_timeout(Duration::from_mins(1)).expect("the server sees the end");
    }

    #[test]
    fn a_slow_call_ends_with_its_timeout() {
        let server = serve(vec![hold("HTTP/1.1 200 X\r\n", std::sync::mpsc::channel().0)]);
        let answer = client().get(&server.url, None, Duration::from_millis(100), 9, &soon());
        assert!(matches!(answer, Err(Failure::Timeout { phase: Phase::FirstToken, .. })), "{answer:?}");
    }

    #[test]
    fn a_key_that_no_header_can_hold_is_not_shown() {
        let key = Secret::new("sk\n1");
        let answer = client().get("http://127.0.0.1:1/", key.as_ref(), Duration::from_secs(1), 9, &soon());
        assert_eq!(answer, Err(Failure::Down { why: "the key has characters that a header cannot hold".into() }));
    }
}
