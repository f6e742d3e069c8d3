//! What nobody wrote for us, read until something breaks: `MUX_FUZZ` names one of the [`TARGETS`], libFuzzer gives the bytes.
//! Beside panics and endless work each target claims something about what was read.

#![no_main]
#![allow(dead_code, unused_imports, reason = "the floors are compiled whole, and only their readers are called")]

#[path = "../../../src/rules/mod.rs"]
mod rules;
#[path = "../../../src/words/mod.rs"]
mod words;

use libfuzzer_sys::fuzz_target;
use rules::config_layers::{Effective, Standing};
use rules::config_values::Base;
use rules::diff::unified;
use rules::reply::{Expect, parse};
use rules::{names, patch, provider, rpc, stream};
use std::path::{Component, Path};
use std::sync::OnceLock;
use words::changes::Change;
use words::cloud::End;
use words::task::Form;

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 7] = [
    ("reply", reply),
    ("patch", apply),
    ("config", config),
    ("rpc", protocol),
    ("provider", heard),
    ("names", name),
    ("stream", streamed),
];

static TARGET: OnceLock<Target> = OnceLock::new();

fuzz_target!(|bytes: &[u8]| {
    let target = TARGET.get_or_init(|| {
        let wanted = std::env::var("MUX_FUZZ").unwrap_or_default();
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        found
            .map(|(_, target)| *target)
            .unwrap_or_else(|| panic!("MUX_FUZZ: reply, patch, config, rpc, provider, names or stream"))
    });
    target(bytes);
});

/// A model's reply, when it was shown a file and when it was not. Whatever is accepted has names that are accepted or refused.
fn reply(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let shown =
        [("src/app.py", "import os\n\n\ndef main():\n    value = 1\n    return value\n"), ("b.txt", "one\r\ntwo\r\n")];
    for form in [Form::Whole, Form::Edits] {
        for expect in [
            Expect { form, ..Expect::default() },
            Expect { target: Some("src/app.py"), shown: &shown, form, ..Expect::default() },
        ] {
            if let Ok(set) = parse(&text, &expect) {
                assert!(!set.changes.is_empty(), "a reply without changes was accepted");
                let _ = names::check_all(&set.changes, &[]);
            }
        }
    }
}

/// Three texts: a file, what to look for, what to write. What is found can be undone by our own diff.
fn apply(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut parts = text.splitn(3, '\u{1}');
    let (old, search, new) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""), parts.next().unwrap_or(""));
    let Ok((changed, _)) = patch::apply(old, &[patch::Hunk::new(search, new)]) else { return };
    // A diff of text says nothing about these.
    let is_plain = |text: &str| !text.is_empty() && !text.contains(['\0', '\r', '\u{feff}']);
    if changed == old || !is_plain(old) || !is_plain(&changed) {
        return;
    }
    let back = unified("f.py", Some(&changed), Some(old));
    let expect = Expect { shown: &[("f.py", &changed)], ..Expect::default() };
    if let Ok(set) = parse(&back, &expect) {
        for change in &set.changes {
            if let Change::Write { path, content } = change {
                assert_eq!((path.as_str(), content.as_str()), ("f.py", old), "{back}");
            }
        }
    }
}

/// A configuration as the user's and as a stranger's: the stranger's never makes anything laxer.
fn config(bytes: &[u8]) {
    let base = Base { dir: Path::new("/base"), home: Some(Path::new("/home/x")) };
    let mut own = Effective::default();
    let _ = own.file(Path::new("/base/mux.yaml"), bytes, Standing::Own, base);
    let _ = own.check_whole();
    let mut project = Effective::default();
    let before = project.config.clone();
    let _ = project.file(Path::new("/base/mux.yaml"), bytes, Standing::Project, base);
    let after = &project.config;
    assert_eq!(before.verification.commands, after.verification.commands);
    assert_eq!(before.providers.local.base_url, after.providers.local.base_url);
    assert_eq!(before.providers.sota_cli.tools, after.providers.sota_cli.tools);
    assert_eq!(before.local_runtime, after.local_runtime);
    assert!(after.local_executor.max_attempts <= before.local_executor.max_attempts);
    assert!(after.privacy.local_only || !before.privacy.local_only);
}

/// Lines of the protocol: an id that was read is written as the JSON that it was.
fn protocol(bytes: &[u8]) {
    let mut input = bytes;
    for _ in 0..64 {
        match rpc::read_line(&mut input) {
            Ok(rpc::Framed::Line(line)) => {
                if let rpc::Line::One(rpc::Message::Request { id, .. }) = rpc::parse(&line) {
                    let raw: &serde_json::value::RawValue = serde_json::from_str(id.as_json()).expect("an id is JSON");
                    assert_eq!(rpc::Id::read(raw).as_ref(), Some(&id));
                }
            }
            Ok(rpc::Framed::End) | Err(_) => return,
            Ok(_) => {}
        }
    }
}

/// What a CLI printed. A reply that is accepted says something.
fn heard(bytes: &[u8]) {
    use rules::config::ReplyForm;
    let (err, out) = bytes.split_at(bytes.len().min(usize::from(bytes.first().copied().unwrap_or(0))));
    for form in [ReplyForm::Text, ReplyForm::Claude, ReplyForm::Codex, ReplyForm::Gemini] {
        for end in [End::Code(0), End::Code(1), End::TimedOut] {
            let reply = provider::parse(form, &end, out, err);
            assert!(reply.is_err() || matches!(end, End::Code(0)));
            assert!(reply.map_or(true, |reply| !reply.text.trim().is_empty()));
        }
        let _ = provider::progress(form, out);
    }
    let _ = provider::servers(out);
}

/// A path: what is accepted is relative, goes down only and never into git's directory.
fn name(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let Ok(path) = names::check(&text, &[]) else { return };
    let path = path.as_str();
    assert!(Path::new(path).components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
    assert!(!path.contains(['\0', '\n', '\\']) && !path.is_empty());
    assert!(!path.to_lowercase().split('/').any(|part| part == ".git"), "{path:?}");
    assert_eq!(
        names::check(path, &[]).map(|again| again.as_str().to_string()),
        Ok(path.to_string()),
        "accepted once only"
    );
}

/// The stream of a model server, in one piece and byte by byte: both give the same.
fn streamed(bytes: &[u8]) {
    let whole = {
        let mut stream = stream::Stream::new(100, 1 << 16);
        stream
            .feed(bytes)
            .and_then(|()| stream.finish())
            .map(|assembled| format!("{assembled:?}"))
            .map_err(|fault| format!("{fault:?}"))
    };
    let pieces = {
        let mut stream = stream::Stream::new(100, 1 << 16);
        let fed = bytes.chunks(1).try_for_each(|byte| stream.feed(byte));
        fed.and_then(|()| stream.finish())
            .map(|assembled| format!("{assembled:?}"))
            .map_err(|fault| format!("{fault:?}"))
    };
    assert_eq!(whole, pieces);
}
