//! A value of a configuration file ↔ its typed place in [`Config`](crate::rules::config::Config): what fits, what was
//! expected instead, and back. Which key has which place is the table of `config_keys.rs`.

use crate::rules::argv;
use crate::rules::config::{Choice, CommandSpec, Tools, Trigger};
use crate::rules::config_shown::mask_value;
use crate::rules::config_text::{self, Node, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a value must be besides its type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    Any,
    /// Least and greatest number.
    Range(f64, f64),
    /// Not blank.
    Filled,
    Url,
    UrlOrEmpty,
    /// The name of an environment variable.
    Variable,
    VariableOrEmpty,
}

/// The place of a value in the configuration, typed.
pub enum Slot<'a> {
    Switch(&'a mut bool),
    Count(&'a mut u32),
    Bytes(&'a mut u64),
    Number(&'a mut f64),
    Seconds(&'a mut Duration),
    Text(&'a mut String),
    Texts(&'a mut Vec<String>),
    /// One text or a list of them.
    OneOrMore(&'a mut Vec<String>),
    /// Arguments of a program; secrets in them are masked when shown.
    Args(&'a mut Vec<String>),
    Path(&'a mut PathBuf),
    Paths(&'a mut Vec<PathBuf>),
    Choice(&'a mut dyn Choice),
    Triggers(&'a mut Vec<Trigger>),
    Command(&'a mut Option<CommandSpec>),
    Commands(&'a mut Vec<CommandSpec>),
    Tools(&'a mut Tools),
}

/// What relative paths are relative to, and what `~/` stands for.
#[derive(Clone, Copy)]
pub struct Base<'a> {
    pub dir: &'a Path,
    pub home: Option<&'a Path>,
}

/// Why a value does not fit: the offending item of a list, if it is one, and what was expected.
#[derive(Debug, PartialEq)]
pub struct Misfit {
    pub item: Option<usize>,
    pub expected: String,
}

impl Slot<'_> {
    /// Returns whether a value from the environment or a flag is taken as it is, not as YAML.
    pub fn takes_raw(&self, value: &str) -> bool {
        match self {
            Slot::Text(_) | Slot::Path(_) | Slot::Choice(_) => true,
            Slot::OneOrMore(_) | Slot::Command(_) => !value.trim_start().starts_with('['),
            Slot::Switch(_)
            | Slot::Count(_)
            | Slot::Bytes(_)
            | Slot::Number(_)
            | Slot::Seconds(_)
            | Slot::Texts(_)
            | Slot::Args(_)
            | Slot::Paths(_)
            | Slot::Triggers(_)
            | Slot::Commands(_)
            | Slot::Tools(_) => false,
        }
    }

    /// Puts a value in its place.
    ///
    /// # Errors
    /// What was expected; then nothing has changed.
    pub fn set(&mut self, value: &Value, limit: Limit, base: Base<'_>) -> Result<(), Misfit> {
        let set = self.try_set(value, limit, base);
        set.map_err(|item| Misfit { item, expected: self.expected(limit, item.is_some()) })
    }

    /// The error is the item of a list that does not fit, or none when it is the whole value.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole and in range, checked above")]
    fn try_set(&mut self, value: &Value, limit: Limit, base: Base<'_>) -> Result<(), Option<usize>> {
        let number = || number(value, limit).ok_or(None);
        let whole = || number().and_then(|number| if number.fract() == 0.0 { Ok(number) } else { Err(None) });
        let word = || text(value, Limit::Any).ok_or(None);
        match self {
            Slot::Switch(slot) => **slot = if let Value::Bool(on) = value { *on } else { return Err(None) },
            Slot::Count(slot) => **slot = whole()? as u32,
            Slot::Bytes(slot) => **slot = whole()? as u64,
            Slot::Number(slot) => **slot = one_in(value, limit).map_or_else(number, Ok)?,
            Slot::Seconds(slot) => **slot = Duration::from_secs_f64(number()?),
            Slot::Text(slot) => **slot = text(value, limit).ok_or(None)?,
            Slot::Texts(slot) | Slot::Args(slot) => **slot = list(value, |item| text(item, limit))?,
            Slot::OneOrMore(slot) => {
                let texts = match text(value, limit) {
                    Some(text) => vec![text],
                    None => list(value, |item| text(item, limit))?,
                };
                if texts.is_empty() {
                    return Err(None);
                }
                **slot = texts;
            }
            Slot::Path(slot) => **slot = base.resolve(&word()?),
            Slot::Paths(slot) => {
                **slot = list(value, |item| text(item, Limit::Filled).map(|text| base.resolve(&text)))?;
            }
            Slot::Choice(slot) => {
                let chosen = match value {
                    Value::Bool(on) => slot.choose(if *on { "true" } else { "false" }),
                    Value::Text(word) => slot.choose(word),
                    Value::Null | Value::Number(_) | Value::List(_) | Value::Map(_) => false,
                };
                if !chosen {
                    return Err(None);
                }
            }
            Slot::Triggers(slot) => {
                **slot = list(value, |item| {
                    let mut trigger = Trigger::LowConfidence;
                    text(item, limit).filter(|word| trigger.choose(word)).map(|_| trigger)
                })?;
            }
            Slot::Command(slot) => {
                **slot = if *value == Value::Text(String::new()) { None } else { Some(command(value).ok_or(None)?) };
            }
            Slot::Commands(slot) => **slot = list(value, command)?,
            Slot::Tools(_) => return Err(None),
        }
        Ok(())
    }

    /// Returns the number of the first command in a value that was set and whose line is none, and why. What runs it says
    /// so too, but only then and without a place.
    pub fn no_command(&self, node: &Node) -> Option<(u32, argv::Fault)> {
        let items = match (self, &node.value) {
            (Slot::Commands(_), Value::List(items)) => items.as_slice(),
            (Slot::Command(slot), _) if slot.is_some() => std::slice::from_ref(node),
            _ => &[],
        };
        items.iter().find_map(|item| match &item.value {
            Value::Text(line) => argv::split(line).err().map(|fault| (item.id, fault)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Map(_) => None,
        })
    }

    /// Returns the value as the file would hold it, without the secrets of commands and arguments.
    #[expect(clippy::cast_precision_loss, reason = "the limits end far below 2^53")]
    pub fn value(&self) -> Value {
        let masked = |command: &CommandSpec| mask_value(&command_value(command));
        let texts =
            |texts: &[String]| Value::List(texts.iter().cloned().map(|text| Value::Text(text).into()).collect());
        match self {
            Slot::Switch(slot) => Value::Bool(**slot),
            Slot::Count(slot) => Value::Number(f64::from(**slot)),
            Slot::Bytes(slot) => Value::Number(**slot as f64),
            Slot::Number(slot) => Value::Number(**slot),
            Slot::Seconds(slot) => Value::Number(slot.as_secs_f64()),
            Slot::Text(slot) => Value::Text((**slot).clone()),
            Slot::OneOrMore(slot) => match slot.as_slice() {
                [one] => Value::Text(one.clone()),
                more => texts(more),
            },
            Slot::Texts(slot) => texts(slot),
            Slot::Args(slot) => mask_value(&texts(slot)),
            Slot::Path(slot) => Value::Text(slot.to_string_lossy().into_owned()),
            Slot::Paths(slot) => {
                Value::List(slot.iter().map(|path| Value::Text(path.to_string_lossy().into_owned()).into()).collect())
            }
            Slot::Choice(slot) => match slot.word() {
                // YAML reads these two words as what they mean.
                word @ ("true" | "false") => Value::Bool(word == "true"),
                word => Value::Text(word.to_string()),
            },
            Slot::Triggers(slot) => {
                Value::List(slot.iter().map(|trigger| Value::Text(trigger.word().to_string()).into()).collect())
            }
            Slot::Command(slot) => slot.as_ref().map_or(Value::Text(String::new()), masked),
            Slot::Commands(slot) => Value::List(slot.iter().map(|command| masked(command).into()).collect()),
            Slot::Tools(slot) => texts(&slot.0.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>()),
        }
    }

    /// Says what fits here, or as an item of the list here.
    fn expected(&self, limit: Limit, item: bool) -> String {
        let text = limit.of_text();
        let command = "a line or a list of arguments";
        let what = match self {
            Slot::Switch(_) => "true or false".to_string(),
            Slot::Count(_) | Slot::Bytes(_) => "a whole number".to_string(),
            Slot::Number(_) => "a number".to_string(),
            Slot::Seconds(_) => "a number of seconds".to_string(),
            Slot::Text(_) => text.to_string(),
            Slot::OneOrMore(_) | Slot::Texts(_) | Slot::Args(_) if item => text.to_string(),
            Slot::OneOrMore(_) => format!("{text}, or a list of them"),
            Slot::Texts(_) | Slot::Args(_) => format!("a list of items, each {text}"),
            Slot::Path(_) => "a path".to_string(),
            Slot::Paths(_) => if item { "a path" } else { "a list of paths" }.to_string(),
            Slot::Choice(choice) => format!("one of {}", choice.words().join(", ")),
            Slot::Triggers(_) => {
                format!("{} {}", if item { "one of" } else { "a list of" }, Trigger::LowConfidence.words().join(", "))
            }
            Slot::Command(_) => command.to_string(),
            Slot::Commands(_) => {
                if item {
                    command.to_string()
                } else {
                    format!("a list of commands, each {command}")
                }
            }
            Slot::Tools(_) => "a section with one entry for each CLI".to_string(),
        };
        match limit {
            Limit::Range(least, most) => format!("{what} from {least} to {most}"),
            Limit::Any | Limit::Filled | Limit::Url | Limit::UrlOrEmpty | Limit::Variable | Limit::VariableOrEmpty => {
                what
            }
        }
    }
}

/// Says how to write what was meant, where a value shows what that was.
pub fn remedy(value: &Value, expected: &str) -> Option<&'static str> {
    let (is_number, is_switch) = (expected.contains("number"), expected.starts_with("true or"));
    match value {
        Value::Number(_) | Value::Bool(_) => expected.contains("text").then_some("put it in quotes"),
        Value::Null => Some("give it a value, or put a `#` before the key"),
        Value::Text(_) if expected.starts_with("a list of") => Some("put it in brackets: [\"…\"]"),
        Value::Text(text) => {
            let meant = config_text::parse(text).ok()?.value;
            let one_of = |words: [&str; 3]| is_switch && words.contains(&text.to_lowercase().as_str());
            if is_number && matches!(meant, Value::Number(_)) || is_switch && matches!(meant, Value::Bool(_)) {
                Some("take the quotes away")
            } else if is_number && text.starts_with(|first: char| first.is_ascii_digit()) {
                Some("write a plain number, without a unit")
            } else if one_of(["yes", "on", "y"]) {
                Some("write `true`")
            } else {
                one_of(["no", "off", "n"]).then_some("write `false`")
            }
        }
        Value::List(_) | Value::Map(_) => None,
    }
}

impl Limit {
    fn of_text(self) -> &'static str {
        match self {
            Limit::Any | Limit::Range(..) => "text",
            Limit::Filled => "text that is not empty",
            Limit::Url => "an address such as http://127.0.0.1:8080/v1 without user or password",
            Limit::UrlOrEmpty => "an address such as http://127.0.0.1:8080/health without user or password, or empty",
            Limit::Variable => "the name of an environment variable",
            Limit::VariableOrEmpty => "the name of an environment variable (never the key itself), or empty",
        }
    }

    fn allows(self, text: &str) -> bool {
        match self {
            Limit::Any | Limit::Range(..) => true,
            Limit::Filled => !text.trim().is_empty(),
            Limit::Url => is_url(text),
            Limit::UrlOrEmpty => text.is_empty() || is_url(text),
            Limit::Variable => is_variable(text),
            Limit::VariableOrEmpty => text.is_empty() || is_variable(text),
        }
    }
}

impl Base<'_> {
    fn resolve(self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), self.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ if text.is_empty() => PathBuf::new(),
            _ => self.dir.join(text),
        }
    }
}

/// Reads a share as people say it: `1/20` is one in twenty.
fn one_in(value: &Value, limit: Limit) -> Option<f64> {
    let Value::Text(text) = value else { return None };
    let n: u32 = text.strip_prefix("1/")?.parse().ok().filter(|n| *n > 0)?;
    number(&Value::Number(1.0 / f64::from(n)), limit)
}

fn number(value: &Value, limit: Limit) -> Option<f64> {
    match (value, limit) {
        (Value::Number(number), Limit::Range(least, most)) => (least..=most).contains(number).then_some(*number),
        _ => None,
    }
}

fn text(value: &Value, limit: Limit) -> Option<String> {
    let Value::Text(text) = value else {
        // An empty value (`model:` and nothing) is a mistake more often than it is meant; `""` says it is meant.
        return None;
    };
    let fits = limit.allows(text) && !text.contains('\0');
    // Addresses are joined with paths later; the slash would stand there twice.
    let text = if matches!(limit, Limit::Url) { text.trim_end_matches('/') } else { text };
    fits.then(|| text.to_string())
}

fn list<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, Option<usize>> {
    let Value::List(items) = value else { return Err(None) };
    items.iter().enumerate().map(|(n, item)| read(&item.value).ok_or(Some(n))).collect()
}

fn command(value: &Value) -> Option<CommandSpec> {
    if let Some(line) = text(value, Limit::Filled) {
        return Some(CommandSpec::Line(line));
    }
    let argv = list(value, |item| text(item, Limit::Any)).ok()?;
    argv.first().is_some_and(|program| !program.is_empty()).then_some(CommandSpec::Argv(argv))
}

/// Returns a command as the file holds it.
pub fn command_value(command: &CommandSpec) -> Value {
    match command {
        CommandSpec::Line(line) => Value::Text(line.clone()),
        CommandSpec::Argv(argv) => Value::List(argv.iter().cloned().map(|arg| Value::Text(arg).into()).collect()),
    }
}

/// Checks the shape of an address: http or https, a host, perhaps a port and a path. Nothing that could carry a secret.
fn is_url(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")) else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (authority, None),
    };
    let host_fits = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && !host.contains([':', '[', ']']),
    };
    let port_fits = port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0) && !port.starts_with('+'));
    let plain = |char: char| char.is_ascii_graphic() && !matches!(char, '@' | '?' | '#' | '\\' | '"' | '<' | '>' | '`');
    // Two addresses joined by a comma would be one with a strange path.
    host_fits && port_fits && !rest.contains("://") && rest.chars().all(plain)
}

fn is_variable(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && !text.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_checked_by_shape() {
        for good in [
            "http://127.0.0.1:8080/v1",
            "http://localhost",
            "https://host.example/a/b",
            "http://[::1]:1/v1",
            "http://[::1]",
            "http://10.0.0.1:65535/",
        ] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "",
            "x",
            "127.0.0.1:8080",
            "ftp://h",
            "http://",
            "http:///v1",
            "http://:80",
            "http://h:0",
            "http://h:65536",
            "http://h:+1",
            "http://h:",
            "http://u@h",
            "http://u:p@h",
            "http://127.0.0.1@evil",
            "http://h/v1?key=1",
            "http://h/#f",
            "http://h /v1",
            "http://h\n",
            "http://[::1",
            "http://::1",
            "http://[x]",
            "http://ü",
            "HTTP://h",
            "http://h:1/v1,http://h:2/v1",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }

    #[test]
    fn a_value_that_shows_what_was_meant_gets_a_remedy() {
        let text = |text: &str| Value::Text(text.to_string());
        for (value, expected, hint) in [
            (text("0.6"), "a number from 0 to 1", Some("take the quotes away")),
            (text("true"), "true or false", Some("take the quotes away")),
            (text("Yes"), "true or false", Some("write `true`")),
            (text("off"), "true or false", Some("write `false`")),
            (text("60 s"), "a number of seconds from 1 to 9", Some("write a plain number, without a unit")),
            (text("cargo test"), "a list of commands", Some("put it in brackets: [\"…\"]")),
            (Value::Null, "a path", Some("give it a value, or put a `#` before the key")),
            (Value::Number(7.0), "text", Some("put it in quotes")),
            (Value::Number(7.0), "a whole number from 1 to 5", None),
            (text("abc"), "a number from 0 to 1", None),
            (text("yes"), "one of true, unverified, false", None),
        ] {
            assert_eq!(remedy(&value, expected), hint, "{value:?}");
        }
    }

    #[track_caller]
    fn refuses(slot: &mut Slot<'_>, value: &Value, limit: Limit, item: Option<usize>, expected: &str) {
        let base = Base { dir: Path::new("/"), home: None };
        assert_eq!(slot.set(value, limit, base), Err(Misfit { item, expected: expected.to_string() }));
    }

    #[test]
    fn a_share_may_be_one_in_so_many() {
        let mut share = 0.0;
        let range = Limit::Range(0.0, 1.0);
        let mut slot = Slot::Number(&mut share);
        let base = Base { dir: Path::new("/"), home: None };
        for (text, expected) in [("1/20", Some(0.05)), ("1/1", Some(1.0)), ("1/0", None), ("2/3", None), ("1/x", None)]
        {
            let set = slot.set(&Value::Text(text.into()), range, base);
            assert_eq!(set.ok().map(|()| slot.value()), expected.map(Value::Number), "{text}");
        }
    }

    #[test]
    fn numbers_out_of_range_are_refused_and_change_nothing() {
        let mut count = 7;
        let range = Limit::Range(1.0, 9.0);
        for bad in [0.0, 10.0, 1.5, -1.0, f64::NAN, f64::INFINITY] {
            refuses(&mut Slot::Count(&mut count), &Value::Number(bad), range, None, "a whole number from 1 to 9");
        }
        let mut time = Duration::from_secs(1);
        refuses(
            &mut Slot::Seconds(&mut time),
            &Value::Number(f64::NAN),
            range,
            None,
            "a number of seconds from 1 to 9",
        );
        assert_eq!((count, time), (7, Duration::from_secs(1)));
    }

    #[test]
    fn items_are_named() {
        let mut texts = vec!["old".to_string()];
        let list = Value::List(vec![Value::Text("A".to_string()).into(), Value::Text("B-C".to_string()).into()]);
        refuses(&mut Slot::Texts(&mut texts), &list, Limit::Variable, Some(1), "the name of an environment variable");
        assert_eq!(texts, ["old"]);
        let mut triggers = Vec::new();
        let expected = "one of low_confidence, verification_failures, high_complexity";
        refuses(&mut Slot::Triggers(&mut triggers), &list, Limit::Any, Some(0), expected);
    }
}
