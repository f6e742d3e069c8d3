//! Model servers: which one is up, which model it has loaded, how much fits. Brands are told by what they answer, not by
//! their port.
//!
//! **Invariant:** an ordinary run asks one question here, the health of one server, on the connection that the chat uses
//! next. A key goes to the server that it was configured for and to no other. Nothing here starts or changes a server.

use crate::rules::json::{self, Items, Take};
use crate::sys::http::{Http, Request, stopped};
use crate::words::server::{Secret, Server};
use crate::words::stop::Stop;
use crate::words::task::Failure;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Where local servers listen by default: mux's own, llama.cpp, Ollama, LM Studio, vLLM, text-generation-webui.
pub const PORTS: [u16; 6] = [18473, 8080, 11434, 1234, 8000, 5000];

/// All the time that looking at the known ports may take.
pub const DETECT: Duration = Duration::from_millis(200);
/// How often a loading server is asked again.
const POLL: Duration = Duration::from_millis(250);
/// Largest answer to a question about a server; a tree of values takes up to 90 times as much memory.
const LIMIT: usize = 256 << 10;
/// Where Ollama says nothing of a context window, it uses this one (its documentation, below 24 GiB of VRAM).
const OLLAMA_WINDOW: u64 = 4096;

/// The configured servers, as plain values.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// At least one; of several the one with the shortest queue is taken.
    pub base_urls: &'a [String],
    pub model: &'a str,
    pub key: Option<&'a Secret>,
    /// Empty: derived from the base URL. Used only with a single base URL.
    pub health_url: &'a str,
    /// Whether these three are the built-in defaults. A default health URL belongs to the default base URL; servers
    /// are looked for only while base URL and model are both defaults.
    pub is_default: IsDefault,
    pub auto_detect: bool,
    /// How long one question about health may take.
    pub timeout: Duration,
    /// How long a server that says it is loading is waited for.
    pub loading: Duration,
}

/// Which values are the built-in defaults.
#[derive(Clone, Copy, Debug, Default)]
pub struct IsDefault {
    pub base_url: bool,
    pub model: bool,
    pub health_url: bool,
}

/// A server that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub server: Server,
    /// Whether it was found on a known port instead of configured: then it is printed and recorded.
    pub is_adopted: bool,
}

/// The models that a server lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Models {
    pub ids: Vec<String>,
    /// Whether a name that is not listed is an error, as vLLM and Ollama have it. Others that have one model answer
    /// whatever name they are asked by.
    pub is_exact: bool,
}

impl Models {
    /// Returns whether a call by this name is answered.
    pub fn answers(&self, name: &str) -> bool {
        self.ids.iter().any(|id| id == name) || (!self.is_exact && self.ids.len() == 1)
    }
}

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    Up,
    /// It runs and will be ready.
    Loading,
    /// And why it is taken to be down.
    Down(String),
}

/// Why there is no server to use.
#[derive(Debug)]
pub struct Missing {
    pub failure: Failure,
    /// Whether one runs and will be ready.
    pub is_loading: bool,
}

/// Finds the server to use.
///
/// # Errors
/// `Down` with the reason of each configured server; `Stopped` or `Timeout` by `stop`.
pub fn find(http: &Http, wanted: &Wanted<'_>, stop: &Stop) -> Result<Found, Failure> {
    search(http, wanted, stop).map_err(|missing| missing.failure)
}

/// As [`find`], for who wants to know whether waiting helps.
///
/// # Errors
/// As [`find`].
pub fn search(http: &Http, wanted: &Wanted<'_>, stop: &Stop) -> Result<Found, Missing> {
    let missing = |failure| Missing { failure, is_loading: false };
    let begun = Instant::now();
    let servers: Vec<Server> = wanted.base_urls.iter().map(|url| server(url, wanted.model, wanted.key)).collect();
    loop {
        let states = survey(http, wanted, &servers, stop);
        if let Some(reason) = stop.reason() {
            return Err(missing(stopped(reason, begun.elapsed())));
        }
        let up = servers.iter().zip(&states).filter(|(_, (health, _))| *health == Health::Up);
        if let Some((server, _)) = up.min_by_key(|(_, (_, load))| *load) {
            return Ok(Found { server: server.clone(), is_adopted: false });
        }
        if states.iter().all(|(health, _)| *health != Health::Loading) {
            if wanted.auto_detect
                && wanted.is_default.base_url
                && wanted.is_default.model
                && let Some(server) = detect(http, &PORTS, DETECT, stop).into_iter().next()
            {
                return Ok(Found { server, is_adopted: true });
            }
            let why = states.into_iter().map(|(health, _)| health.why().to_string()).collect::<Vec<_>>();
            return Err(missing(Failure::Down { why: why.join("; ") }));
        }
        if begun.elapsed() >= wanted.loading {
            let after = format!(" after {} s", begun.elapsed().as_secs());
            let why = format!("it is still loading{}", if wanted.loading.is_zero() { "" } else { &after });
            return Err(Missing { failure: Failure::Down { why }, is_loading: true });
        }
        stop.sleep(POLL);
    }
}

/// Asks a server for its health: `health_url` if there is one, else `/health`, else (404) the list of models.
pub fn health(http: &Http, server: &Server, health_url: Option<&str>, timeout: Duration, stop: &Stop) -> Health {
    let ask = |url: &str, key| http.get(url, key, timeout, LIMIT, stop).map(|response| response.status);
    let root = server.root("/health");
    let status = match health_url {
        // It may be another program on another port: it gets no key.
        Some(url) => ask(url, None),
        None => ask(&root, server.key.as_ref()),
    };
    let status = match status {
        Ok(400..=499) if health_url.is_none() => ask(&server.api("/models"), server.key.as_ref()),
        other => other,
    };
    match status {
        // A server that wants a key, or another one, is up: the call itself will say so.
        Ok(200..=299 | 401 | 403) => Health::Up,
        Ok(503) => Health::Loading,
        Ok(404) => Health::Down(format!("what answers at {} is no model server (404)", server.base_url)),
        Ok(status) => Health::Down(format!("{} answers {status}", health_url.unwrap_or(&root))),
        Err(Failure::Timeout { after_ms, .. }) => {
            Health::Down(format!("no answer from {} within {after_ms} ms", server.base_url))
        }
        Err(Failure::Down { why }) => Health::Down(why),
        Err(failure) => Health::Down(failure.to_string()),
    }
}

/// Looks at ports of this machine, all at once, for `within` in total. Returns the servers with the model that each
/// has loaded; those that could only name a model on disk come last.
pub fn detect(http: &Http, ports: &[u16], within: Duration, stop: &Stop) -> Vec<Server> {
    let end = Instant::now() + within;
    let found: Vec<(bool, Server)> = std::thread::scope(|scope| {
        let looks: Vec<_> = ports.iter().map(|port| scope.spawn(move || look(http, *port, end, stop))).collect();
        looks.into_iter().filter_map(|look| look.join().ok().flatten()).collect()
    });
    let (loaded, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|(is_loaded, _)| *is_loaded);
    loaded.into_iter().chain(others).map(|(_, server)| server).collect()
}

/// Asks how many tokens fit, prompt and reply together. `None` where no answer says.
pub fn window(http: &Http, server: &Server, timeout: Duration, stop: &Stop) -> Option<u64> {
    let asker = Asker { http, server, end: Instant::now() + timeout, stop };
    asker
        .get(&server.root("/props"))
        .and_then(|props| count(&props, "/default_generation_settings/n_ctx"))
        .or_else(|| count(&asker.get(&server.root("/slots"))?, "/0/n_ctx"))
        .or_else(|| listed_window(&asker.get(&server.api("/models"))?, &server.model))
        .or_else(|| asker.ollama_window())
        .or_else(|| {
            let models = asker.get(&server.root("/api/v0/models"))?;
            count(named(&models, "/data", "id", &server.model)?, "/loaded_context_length")
        })
        .or_else(|| count(&asker.get(&server.root("/info"))?, "/max_total_tokens"))
}

/// Asks which models a server has. `None` where it does not say.
pub fn models(http: &Http, server: &Server, timeout: Duration, stop: &Stop) -> Option<Models> {
    let asker = Asker { http, server, end: Instant::now() + timeout, stop };
    let listed = asker.get(&server.api("/models"))?;
    let listed = listed.get("data")?.as_array()?;
    let is_exact = |model: &Value| matches!(text(model, "/owned_by"), "vllm" | "library");
    let ids = listed.iter().map(|model| text(model, "/id").to_string());
    Some(Models { ids: ids.filter(|id| !id.is_empty()).collect(), is_exact: listed.iter().any(is_exact) })
}

/// Returns whether a server refuses what it is asked, for want of a key or of another one.
pub fn is_locked(http: &Http, server: &Server, timeout: Duration, stop: &Stop) -> bool {
    let listed = http.get(&server.api("/models"), server.key.as_ref(), timeout, LIMIT, stop);
    listed.is_ok_and(|answer| matches!(answer.status, 401 | 403))
}

/// Counts the tokens of a text where the server can (llama.cpp, vLLM). The chat template comes on top.
pub fn count_tokens(http: &Http, server: &Server, text: &str, timeout: Duration, stop: &Stop) -> Option<u64> {
    let llama = json!({ "content": text });
    let vllm = json!({ "model": server.model, "prompt": text });
    [llama, vllm].into_iter().find_map(|body| {
        let url = server.root("/tokenize");
        let body = serde_json::to_vec(&body).ok()?;
        let request = Request { url: &url, key: server.key.as_ref(), body: Some(&body), timeout };
        // A token has eight digits at most, and a comma.
        let answer = http.fetch(&request, LIMIT + text.len() * 12, stop).ok().filter(|answer| answer.status == 200)?;
        let mut counted = Counted::default();
        json::read(&answer.body, &mut counted).ok()?;
        Some(counted.count.max(counted.tokens.0 as u64)).filter(|count| (1..1 << 48).contains(count))
    })
}

impl Health {
    fn why(&self) -> &str {
        match self {
            Health::Up => "it is up",
            Health::Loading => "it is loading",
            Health::Down(why) => why,
        }
    }
}

/// Returns health and load of all servers, in their order. One server is only asked for its health.
fn survey(http: &Http, wanted: &Wanted<'_>, servers: &[Server], stop: &Stop) -> Vec<(Health, (bool, usize))> {
    if let [server] = servers {
        let is_own = !wanted.is_default.health_url || wanted.is_default.base_url;
        let health_url = Some(wanted.health_url).filter(|url| is_own && !url.is_empty());
        return vec![(health(http, server, health_url, wanted.timeout, stop), (false, 0))];
    }
    std::thread::scope(|scope| {
        let ask = |server| {
            scope.spawn(move || match health(http, server, None, wanted.timeout, stop) {
                Health::Up => (Health::Up, load(http, server, wanted.timeout, stop)),
                other @ (Health::Loading | Health::Down(_)) => (other, (false, 0)),
            })
        };
        let asked: Vec<_> = servers.iter().map(ask).collect();
        let lost = || (Health::Down("it could not be asked".into()), (false, 0));
        asked.into_iter().map(|thread| thread.join().unwrap_or_else(|_| lost())).collect()
    })
}

/// Returns whether all slots are busy, and how many are. Where a server does not say, it counts as idle.
fn load(http: &Http, server: &Server, timeout: Duration, stop: &Stop) -> (bool, usize) {
    let asker = Asker { http, server, end: Instant::now() + timeout, stop };
    let slots = asker.get(&server.root("/slots"));
    let slots = slots.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let busy = slots.iter().filter(|slot| slot.get("is_processing").and_then(Value::as_bool) == Some(true)).count();
    (busy > 0 && busy == slots.len(), busy)
}

/// Looks at one port. Returns the server, and whether its model is loaded.
fn look(http: &Http, port: u16, end: Instant, stop: &Stop) -> Option<(bool, Server)> {
    let mut server = server(&format!("http://127.0.0.1:{port}/v1"), "", None);
    let asker = Asker { http, server: &server, end, stop };
    let models = asker.get(&server.api("/models"))?;
    let listed = models.get("data")?.as_array()?;
    let (is_loaded, model) = loaded(listed)
        .or_else(|| asker.loaded_at("/api/ps", "/models", |_| true))
        .or_else(|| {
            let is_chat = |model: &Value| text(model, "/state") == "loaded" && text(model, "/type") != "embeddings";
            asker.loaded_at("/api/v0/models", "/data", is_chat)
        })
        .map(|model| (true, model))
        .or_else(|| {
            Some((false, listed.iter().map(|model| text(model, "/id")).find(|id| may_chat(id))?.to_string()))
        })?;
    server.window = listed_window(&models, &model);
    server.model = model;
    Some((is_loaded, server))
}

/// Returns the model of a server that lists only what it has loaded, or says which one is.
fn loaded(listed: &[Value]) -> Option<String> {
    let by_state = listed.iter().find(|model| text(model, "/status/value") == "loaded"); // llama.cpp's router
    let only = match listed {
        [model] if matches!(text(model, "/owned_by"), "llamacpp" | "vllm") && model.get("status").is_none() => {
            Some(model)
        }
        _ => None,
    };
    by_state.or(only).map(|model| text(model, "/id").to_string()).filter(|id| !id.is_empty())
}

/// Questions about one server, all within one deadline.
struct Asker<'a> {
    http: &'a Http,
    server: &'a Server,
    end: Instant,
    stop: &'a Stop,
}

impl Asker<'_> {
    fn get(&self, url: &str) -> Option<Value> {
        self.ask(url, None)
    }

    fn ask(&self, url: &str, body: Option<&Value>) -> Option<Value> {
        let timeout = self.end.saturating_duration_since(Instant::now());
        let body = body.and_then(|body| serde_json::to_vec(body).ok());
        let request = Request { url, key: self.server.key.as_ref(), body: body.as_deref(), timeout };
        let answer = self.http.fetch(&request, LIMIT, self.stop).ok().filter(|answer| answer.status == 200)?;
        serde_json::from_slice(&answer.body).ok()
    }

    /// Returns the name of the first model of a list that is loaded (Ollama, LM Studio).
    fn loaded_at(&self, path: &str, list: &str, is_loaded: impl Fn(&Value) -> bool) -> Option<String> {
        let answer = self.get(&self.server.root(path))?;
        let models = answer.pointer(list)?.as_array()?;
        let name = |model| Some(text(model, "/id")).filter(|id| !id.is_empty()).unwrap_or(text(model, "/name"));
        models.iter().filter(|model| is_loaded(model)).map(name).find(|name| may_chat(name)).map(str::to_string)
    }

    /// Ollama's window is that of the loaded model, else what its file sets, else the default of the server.
    fn ollama_window(&self) -> Option<u64> {
        let model = &self.server.model;
        let tagged = if model.contains(':') { model.clone() } else { format!("{model}:latest") };
        let running = self.get(&self.server.root("/api/ps"))?;
        if let Some(model) = named(&running, "/models", "name", &tagged) {
            return count(model, "/context_length");
        }
        running.get("models")?;
        let shown = self.ask(&self.server.root("/api/show"), Some(&json!({ "model": model })))?;
        let set = text(&shown, "/parameters").lines().find_map(|line| line.trim().strip_prefix("num_ctx"));
        set.and_then(|number| number.trim().parse().ok()).or(Some(OLLAMA_WINDOW))
    }
}

/// A reply to `/tokenize`: llama.cpp's list of tokens or vLLM's count.
#[derive(Default)]
struct Counted {
    tokens: Items,
    count: u64,
}

impl<'t> Take<'t> for Counted {
    fn key(&mut self, key: &str) -> Option<&mut dyn Take<'t>> {
        match key {
            "tokens" => Some(&mut self.tokens),
            "count" => Some(&mut self.count),
            _ => None,
        }
    }
}

fn server(base_url: &str, model: &str, key: Option<&Secret>) -> Server {
    let base_url = base_url.trim_end_matches('/').to_string();
    Server { base_url, model: model.to_string(), key: key.cloned(), window: None }
}

/// Returns the window that a list of models gives for one of them: vLLM's, llama.cpp's.
fn listed_window(models: &Value, model: &str) -> Option<u64> {
    let entry = named(models, "/data", "id", model).or_else(|| match models.get("data")?.as_array()?.as_slice() {
        [only] => Some(only),
        _ => None,
    })?;
    ["/max_model_len", "/meta/n_ctx"].iter().find_map(|path| count(entry, path))
}

fn named<'a>(models: &'a Value, list: &str, key: &str, name: &str) -> Option<&'a Value> {
    let is_it = |model: &&Value| model.get(key).and_then(Value::as_str) == Some(name);
    models.pointer(list)?.as_array()?.iter().find(is_it)
}

fn count(value: &Value, path: &str) -> Option<u64> {
    value.pointer(path)?.as_u64().filter(|count| *count > 0)
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// Models for search can't chat.
fn may_chat(id: &str) -> bool {
    let id = id.to_ascii_lowercase();
    !id.is_empty() && !id.contains("embed") && !id.contains("rerank")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::http::tests::{LOCAL, Loopback, hold, json as answer, raw, routes, serve, soon};
    use crate::words::task::Refusal;

    const SECOND: Duration = Duration::from_secs(1);
    const MINUTE: Duration = Duration::from_mins(1);
    const LIST: &str = include_str!("../../fixtures/http/04-get-v1-models.txt");
    const PROPS: &str = include_str!("../../fixtures/http/05-get-props.txt");
    const SLOTS: &str = include_str!("../../fixtures/http/06-get-slots.txt");
    const TOKENS: &str = include_str!("../../fixtures/http/42-tokenize.txt");

    /// Returns the body of a recorded exchange.
    fn body(exchange: &'static str) -> &'static str {
        exchange.split_once("\n\n").expect("a blank line after the header").1.trim()
    }

    fn client() -> Http {
        Http::new(LOCAL, Duration::from_secs(5))
    }

    fn wanted(base_urls: &[String]) -> Wanted<'_> {
        Wanted {
            base_urls,
            model: "m",
            key: None,
            health_url: "",
            is_default: IsDefault::default(),
            auto_detect: false,
            timeout: MINUTE,
            loading: MINUTE,
        }
    }

    fn base(loopback: &Loopback) -> String {
        format!("{}/v1", loopback.url)
    }

    fn port(loopback: &Loopback) -> u16 {
        loopback.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Returns the paths that were asked for.
    fn paths(loopback: &Loopback) -> Vec<String> {
        loopback.seen().iter().filter_map(|seen| seen.split(' ').nth(2).map(str::to_string)).collect()
    }

    /// A base URL where nobody listens.
    fn nobody() -> String {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}/v1", listener.local_addr().expect("an address"))
    }

    #[test]
    fn an_ordinary_run_asks_for_health_once() {
        let loopback = routes(vec![("GET /health", 200, r#"{"status":"ok"}"#)]);
        let urls = [base(&loopback) + "/"];
        let found = find(&client(), &wanted(&urls), &soon()).expect("a server");
        assert_eq!(found, Found { server: server(&base(&loopback), "m", None), is_adopted: false });
        assert_eq!(paths(&loopback), ["/health"]);
    }

    #[test]
    fn some_answer_by_any_name_and_others_only_by_their_own() {
        for (listed, by_m, by_other) in [
            (r#"{"data":[{"id":"m","owned_by":"llamacpp"}]}"#, true, true),
            (r#"{"data":[{"id":"m","owned_by":"vllm"}]}"#, true, false),
            (r#"{"data":[{"id":"m","owned_by":"library"}]}"#, true, false),
            (r#"{"data":[{"id":"m"},{"id":"n"}]}"#, true, false),
            (r#"{"data":[]}"#, false, false),
        ] {
            let loopback = routes(vec![("GET /v1/models", 200, listed)]);
            let server = server(&base(&loopback), "m", None);
            let models = models(&client(), &server, MINUTE, &soon()).expect(listed);
            assert_eq!((models.answers("m"), models.answers("other")), (by_m, by_other), "{listed}");
            assert!(!is_locked(&client(), &server, MINUTE, &soon()));
        }
        let loopback = routes(vec![("GET /v1/models", 401, r#"{"error":{"message":"Invalid API Key"}}"#)]);
        let server = server(&base(&loopback), "m", None);
        assert_eq!(models(&client(), &server, MINUTE, &soon()), None);
        assert!(is_locked(&client(), &server, MINUTE, &soon()));
    }

    #[track_caller]
    fn healthy(answers: Vec<(&'static str, u16, &'static str)>, expected: Result<bool, &str>, asked: &[&str]) {
        let loopback = routes(answers);
        let health = health(&client(), &server(&base(&loopback), "m", None), None, MINUTE, &soon());
        match expected {
            Ok(is_up) => assert_eq!(health, if is_up { Health::Up } else { Health::Loading }),
            Err(why) => assert!(matches!(&health, Health::Down(said) if said.contains(why)), "{health:?}"),
        }
        assert_eq!(paths(&loopback), asked);
    }

    #[test]
    fn health_is_told_by_status() {
        let both = ["/health", "/v1/models"];
        healthy(vec![("GET /health", 200, "")], Ok(true), &["/health"]);
        healthy(vec![("GET /health", 503, "")], Ok(false), &["/health"]);
        healthy(vec![("GET /health", 500, "")], Err("answers 500"), &["/health"]);
        healthy(vec![("GET /v1/models", 200, "")], Ok(true), &both);
        healthy(vec![("GET /v1/models", 401, "")], Ok(true), &both);
        healthy(vec![("GET /v1/models", 503, "")], Ok(false), &both);
        healthy(vec![], Err("no model server (404)"), &both);
        let down = health(&client(), &server(&nobody(), "m", None), None, MINUTE, &soon());
        assert!(matches!(&down, Health::Down(why) if why.starts_with("nobody listens on")), "{down:?}");
    }

    #[test]
    fn a_health_url_of_its_own_is_asked_without_the_key() {
        let (checker, model) = (routes(vec![("GET /up", 200, "")]), routes(vec![("GET /health", 200, "")]));
        let (urls, health_url, key) = ([base(&model)], format!("{}/up", checker.url), Secret::new("sk-secret"));
        let own = Wanted { health_url: &health_url, key: key.as_ref(), ..wanted(&urls) };
        find(&client(), &own, &soon()).expect("a server");
        assert_eq!((paths(&checker).len(), paths(&model).len()), (1, 0));
        assert!(!checker.seen()[0].contains("sk-secret"));
        // The default one belongs to the default base URL only.
        let is_default = IsDefault { health_url: true, ..IsDefault::default() };
        find(&client(), &Wanted { is_default, ..own }, &soon()).expect("a server");
        assert_eq!((paths(&checker).len(), paths(&model).len()), (1, 1));
        let is_default = IsDefault { health_url: true, base_url: true, ..IsDefault::default() };
        find(&client(), &Wanted { is_default, ..own }, &soon()).expect("a server");
        assert_eq!((paths(&checker).len(), paths(&model).len()), (2, 1));
    }

    #[test]
    fn a_loading_server_is_waited_for_but_not_for_ever() {
        let loopback = serve(vec![answer(503, ""), answer(503, ""), answer(200, "")]);
        let urls = [base(&loopback)];
        find(&client(), &wanted(&urls), &soon()).expect("a server");
        assert_eq!(loopback.seen().len(), 3);
        let loopback = routes(vec![("GET /health", 503, "")]);
        let urls = [base(&loopback)];
        let impatient = Wanted { loading: Duration::ZERO, ..wanted(&urls) };
        let why = "it is still loading".to_string();
        let missing = search(&client(), &impatient, &soon()).expect_err("a server");
        assert_eq!((missing.failure, missing.is_loading), (Failure::Down { why }, true));
        let stop = soon();
        stop.cancel();
        assert_eq!(find(&client(), &wanted(&urls), &stop), Err(Failure::Stopped { why: Refusal::Canceled }));
    }

    #[test]
    fn of_several_servers_the_idlest_is_taken() {
        let up = ("GET /health", 200, "");
        let busy = routes(vec![up, ("GET /slots", 200, r#"[{"is_processing":true}]"#)]);
        let half = routes(vec![up, ("GET /slots", 200, r#"[{"is_processing":true},{"is_processing":false}]"#)]);
        let idle = routes(vec![up, ("GET /slots", 200, body(SLOTS))]);
        let silent = routes(vec![up]);
        let choose = |urls: &[String]| find(&client(), &wanted(urls), &soon()).map(|found| found.server.base_url);
        let (busy, half, idle, silent) = (base(&busy), base(&half), base(&idle), base(&silent));
        assert_eq!(choose(&[nobody(), busy.clone(), half.clone(), idle.clone()]), Ok(idle.clone()));
        assert_eq!(choose(&[busy.clone(), half.clone()]), Ok(half));
        assert_eq!(choose(&[silent.clone(), idle]), Ok(silent));
        assert_eq!(choose(&[busy.clone(), nobody()]), Ok(busy));
        let down = choose(&[nobody(), nobody()]);
        assert!(matches!(&down, Err(Failure::Down { why }) if why.matches("nobody listens").count() == 2), "{down:?}");
    }

    #[track_caller]
    fn detected(answers: Vec<(&'static str, u16, &'static str)>, expected: Option<(&str, Option<u64>)>) {
        let loopback = routes(answers);
        let found = detect(&client(), &[port(&loopback)], MINUTE, &soon());
        let read: Vec<_> = found.iter().map(|server| (server.model.as_str(), server.window)).collect();
        assert_eq!(read, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn the_loaded_model_is_adopted() {
        let ollama = r#"{"object":"list","data":[{"id":"nomic-embed","owned_by":"library"},{"id":"qwen:7b","owned_by":"library"},{"id":"qwen:1b","owned_by":"library"}]}"#;
        let studio = r#"{"data":[{"id":"a","object":"model"},{"id":"b","object":"model"}]}"#;
        let states = r#"{"data":[{"id":"e","type":"embeddings","state":"loaded"},{"id":"a","type":"llm","state":"not-loaded"},{"id":"b","type":"llm","state":"loaded"}]}"#;
        let router = r#"{"data":[{"id":"a","owned_by":"llamacpp","status":{"value":"unloaded"}},{"id":"b","status":{"value":"loaded"}}]}"#;
        let list = |json| ("GET /v1/models", 200, json);
        detected(vec![list(body(LIST))], Some(("smollm2", Some(2048))));
        detected(
            vec![list(r#"{"data":[{"id":"v","owned_by":"vllm","max_model_len":8192}]}"#)],
            Some(("v", Some(8192))),
        );
        detected(
            vec![list(ollama), ("GET /api/ps", 200, r#"{"models":[{"name":"qwen:1b"}]}"#)],
            Some(("qwen:1b", None)),
        );
        detected(vec![list(ollama), ("GET /api/ps", 200, r#"{"models":[]}"#)], Some(("qwen:7b", None)));
        detected(vec![list(studio), ("GET /api/v0/models", 200, states)], Some(("b", None)));
        detected(vec![list(router)], Some(("b", None)));
        detected(vec![list(r#"{"data":[]}"#)], None);
        detected(vec![list("<html>")], None);
        detected(vec![("GET /v1/models", 403, "")], None);
    }

    #[test]
    fn a_server_on_a_known_port_is_adopted_only_in_place_of_the_defaults() {
        let (disk, loaded) = (
            routes(vec![("GET /v1/models", 200, r#"{"data":[{"id":"a"},{"id":"b"}]}"#)]),
            routes(vec![("GET /v1/models", 200, body(LIST))]),
        );
        let silent = serve(vec![hold("", std::sync::mpsc::channel().0)]);
        let ports = [port(&silent), port(&disk), port(&loaded)];
        let found = detect(&client(), &ports, 2 * SECOND, &soon());
        assert_eq!(found.iter().map(|server| server.model.as_str()).collect::<Vec<_>>(), ["smollm2", "a"]);
        assert_eq!(found[0].base_url, base(&loaded));
        // Nothing is looked for when the server or the model was configured.
        let urls = [nobody()];
        for (base_url, model, auto_detect) in [(true, true, false), (false, true, true), (true, false, true)] {
            let is_default = IsDefault { base_url, model, health_url: true };
            let result = find(&client(), &Wanted { is_default, auto_detect, ..wanted(&urls) }, &soon());
            assert!(matches!(result, Err(Failure::Down { .. })), "{result:?}");
        }
    }

    #[track_caller]
    fn fits(model: &str, answers: Vec<(&'static str, u16, &'static str)>, expected: Option<u64>) {
        let loopback = routes(answers);
        assert_eq!(window(&client(), &server(&base(&loopback), model, None), MINUTE, &soon()), expected);
    }

    #[test]
    fn the_window_is_found_at_every_kind_of_server() {
        let ps = r#"{"models":[{"name":"qwen:latest","context_length":8192}]}"#;
        let show = r#"{"parameters":"temperature 0.7\nnum_ctx                        16384","model_info":{"qwen2.context_length":32768}}"#;
        let studio = r#"{"data":[{"id":"m","max_context_length":32768,"loaded_context_length":4096}]}"#;
        fits("m", vec![("GET /props", 200, body(PROPS))], Some(2048));
        fits("m", vec![("GET /props", 200, "{}"), ("GET /slots", 200, body(SLOTS))], Some(2048));
        fits("m", vec![("GET /v1/models", 200, body(LIST))], Some(2048));
        fits(
            "v",
            vec![("GET /v1/models", 200, r#"{"data":[{"id":"w","max_model_len":1},{"id":"v","max_model_len":9}]}"#)],
            Some(9),
        );
        fits("qwen", vec![("GET /api/ps", 200, ps)], Some(8192));
        fits("other", vec![("GET /api/ps", 200, ps), ("POST /api/show", 200, show)], Some(16384));
        fits("other", vec![("GET /api/ps", 200, ps), ("POST /api/show", 200, "{}")], Some(4096));
        fits("m", vec![("GET /api/v0/models", 200, studio)], Some(4096));
        fits("m", vec![("GET /info", 200, r#"{"max_total_tokens":2048}"#)], Some(2048));
        fits("m", vec![], None);
    }

    #[test]
    fn tokens_are_counted_where_the_server_can() {
        let tokens = |answers| {
            let loopback = serve(answers);
            count_tokens(&client(), &server(&base(&loopback), "m", None), "def f(): pass", MINUTE, &soon())
        };
        assert_eq!(tokens(vec![answer(200, body(TOKENS))]), Some(4));
        assert_eq!(tokens(vec![answer(422, "{}"), answer(200, r#"{"count":5,"tokens":[1,2,3,4,5]}"#)]), Some(5));
        assert_eq!(tokens(vec![answer(404, ""), answer(404, "")]), None);
    }

    #[test]
    fn an_overlong_answer_about_a_server_is_no_answer() {
        let list = format!(r#"{{"data":[{}{{"id":"m"}}]}}"#, "{},".repeat(LIMIT));
        let loopback = serve(vec![raw(format!("HTTP/1.1 200 X\r\nContent-Length: {}\r\n\r\n{list}", list.len()))]);
        assert_eq!(detect(&client(), &[port(&loopback)], MINUTE, &soon()), []);
        let silent = serve(vec![hold("", std::sync::mpsc::channel().0)]);
        assert_eq!(window(&client(), &server(&base(&silent), "m", None), SECOND / 10, &soon()), None);
    }
}
