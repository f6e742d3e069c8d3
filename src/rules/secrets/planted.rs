//! What of planted secrets is found. The forms are those that issuers publish (their documentation, and the formats that
//! public scanners document for them), written as such and not from the table in `shapes.rs`: exact lengths and
//! alphabets, in the surroundings where people leave them. Values are drawn by a seeded generator; none is real.

use super::{find, redact};
use std::collections::BTreeMap;

/// Key forms: literal text, and `[set]{n}` for `n` characters drawn from a set with ranges.
const KEYS: &[&str] = &[
    "sk-ant-api03-[A-Za-z0-9_-]{93}AA",
    "sk-ant-admin01-[A-Za-z0-9_-]{93}AA",
    "sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20}",
    "sk-proj-[A-Za-z0-9_-]{74}T3BlbkFJ[A-Za-z0-9_-]{74}",
    "sk-svcacct-[A-Za-z0-9_-]{58}T3BlbkFJ[A-Za-z0-9_-]{58}",
    "sk-or-v1-[a-f0-9]{64}",
    "sk-[a-f0-9]{32}",
    "hf_[A-Za-z]{34}",
    "api_org_[A-Za-z]{34}",
    "gsk_[A-Za-z0-9]{52}",
    "xai-[A-Za-z0-9]{80}",
    "pplx-[A-Za-z0-9]{48}",
    "r8_[A-Za-z0-9]{37}",
    "lsv2_pt_[a-f0-9]{32}_[a-f0-9]{10}",
    "AIza[A-Za-z0-9_-]{35}",
    "GOCSPX-[A-Za-z0-9_-]{28}",
    "ya29.[A-Za-z0-9_-]{100}",
    "AKIA[A-Z2-7]{16}",
    "ASIA[A-Z2-7]{16}",
    "LTAI[A-Za-z0-9]{20}",
    "ghp_[A-Za-z0-9]{36}",
    "gho_[A-Za-z0-9]{36}",
    "ghu_[A-Za-z0-9]{36}",
    "ghs_[A-Za-z0-9]{36}",
    "ghr_[A-Za-z0-9]{36}",
    "github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}",
    "glpat-[A-Za-z0-9_-]{20}",
    "gldt-[A-Za-z0-9_-]{20}",
    "glrt-[A-Za-z0-9_-]{20}",
    "glptt-[a-f0-9]{40}",
    "glcbt-[a-f0-9]{2}_[A-Za-z0-9_-]{20}",
    "gloas-[A-Za-z0-9_-]{64}",
    "ATATT3[A-Za-z0-9_=-]{186}",
    "npm_[A-Za-z0-9]{36}",
    "pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{120}",
    "rubygems_[a-f0-9]{48}",
    "dckr_pat_[A-Za-z0-9_-]{27}",
    "AKCp[A-Za-z0-9]{69}",
    "dop_v1_[a-f0-9]{64}",
    "doo_v1_[a-f0-9]{64}",
    "HRKU-AA[A-Za-z0-9_-]{58}",
    "fo1_[A-Za-z0-9_-]{43}",
    "dapi[a-f0-9]{32}",
    "pscale_tkn_[A-Za-z0-9_.-]{43}",
    "pul-[a-f0-9]{40}",
    "pnu_[A-Za-z0-9]{36}",
    "dp.pt.[A-Za-z0-9]{43}",
    "hvs.[A-Za-z0-9_-]{95}",
    "[a-zA-Z0-9]{14}.atlasv1.[A-Za-z0-9_-]{67}",
    "[A-Za-z0-9_~]{3}[0-9]{1}Q~[A-Za-z0-9_~.-]{34}",
    "xoxb-[0-9]{12}-[0-9]{12}-[A-Za-z0-9]{24}",
    "xoxp-[0-9]{11}-[0-9]{11}-[0-9]{12}-[a-f0-9]{32}",
    "xapp-1-A[A-Z0-9]{10}-[0-9]{13}-[a-f0-9]{64}",
    "https://hooks.slack.com/services/T[A-Z0-9]{10}/B[A-Z0-9]{10}/[A-Za-z0-9]{24}",
    "https://discord.com/api/webhooks/[0-9]{18}/[A-Za-z0-9_-]{68}",
    "[0-9]{9}:AA[A-Za-z0-9_-]{33}",
    "SG.[A-Za-z0-9_-]{22}.[A-Za-z0-9_-]{43}",
    "xkeysib-[a-f0-9]{64}-[A-Za-z0-9]{16}",
    "key-[a-f0-9]{32}",
    "[a-f0-9]{32}-us[1-9]{1}",
    "SK[a-f0-9]{32}",
    "ntn_[0-9]{11}[A-Za-z0-9]{35}",
    "lin_api_[A-Za-z0-9]{40}",
    "pat[A-Za-z0-9]{14}.[a-f0-9]{64}",
    "PMAK-[a-f0-9]{24}-[a-f0-9]{34}",
    "figd_[A-Za-z0-9_-]{40}",
    "sk_live_[A-Za-z0-9]{24}",
    "rk_live_[A-Za-z0-9]{99}",
    "whsec_[A-Za-z0-9]{32}",
    "sq0atp-[A-Za-z0-9_-]{22}",
    "sq0csp-[A-Za-z0-9_-]{43}",
    "shpat_[a-f0-9]{32}",
    "shpss_[a-f0-9]{32}",
    "glsa_[A-Za-z0-9]{32}_[a-f0-9]{8}",
    "glc_eyJ[A-Za-z0-9+/]{120}",
    "NRAK-[A-Z0-9]{27}",
    "sntryu_[a-f0-9]{64}",
    "dt0c01.[A-Z0-9]{24}.[A-Z0-9]{64}",
    "AGE-SECRET-KEY-1[QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L]{58}",
    "A3-[A-Z0-9]{6}-[A-Z0-9]{6}-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{5}",
    "eyJhbGciOiJIUzI1NiJ9.eyJ[A-Za-z0-9_-]{60}.[A-Za-z0-9_-]{43}",
];

/// Where keys are left. `@` is the key.
const PLACES: &[&str] = &[
    "@",
    "export SERVICE=@",
    "client = Client(\"@\")",
    "  auth: '@'",
    "{\"id\": 7, \"value\": \"@\", \"ok\": true}",
    "curl -s -H 'X-Custom: @' https://api.invalid/v1",
    "# old one: @ (rotate!)",
    "https://api.invalid/v1?key=@&page=2",
    "| prod | `@` | 2026 |",
    "<add value=\"@\"/>",
    "\\n@\\n",
];

/// Values that are secret by the name in front, as in examples of frameworks, services and `.env` files.
const ASSIGNED: &[&str] = &[
    "DB_PASSWORD=<[A-Za-z0-9]{16}>",
    "POSTGRES_PASSWORD=\"<[A-Za-z0-9]{20}>\"",
    "PGPASSWORD='<[A-Za-z0-9!%^*_-]{18}>' psql",
    "DB_PASS=<[A-Za-z0-9]{24}>",
    "AWS_SECRET_ACCESS_KEY=<[A-Za-z0-9/+]{40}>",
    "aws_secret_access_key = <[A-Za-z0-9/+]{40}>",
    "JWT_SECRET=<[a-f0-9]{64}>",
    "SECRET_KEY_BASE: <[a-f0-9]{128}>",
    "SECRET_KEY = 'django-insecure-<[a-z0-9!@#$%^&*(_=+)-]{50}>'",
    "APP_KEY=base64:<[A-Za-z0-9+/]{43}>=",
    "ALGOLIA_KEY=<[a-f0-9]{32}>",
    "MAPS_SIGNING_KEY=<[A-Za-z0-9_-]{27}>",
    "HEROKU_API_KEY=<[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-a[a-f0-9]{3}-[a-f0-9]{12}>",
    "DATADOG_API_KEY: \"<[a-f0-9]{32}>\"",
    "  password: <[A-Za-z0-9]{16}>",
    "\"client_secret\": \"<[A-Za-z0-9_-]{32}>\",",
    "const apiKey = '<[A-Za-z0-9]{32}>';",
    "let auth_token = \"<[A-Za-z0-9]{40}>\";",
    "spring.datasource.password=<[A-Za-z0-9]{20}>",
    "<password><[A-Za-z0-9]{16}></password>",
    "//registry.npmjs.org/:_authToken=<[a-f0-9]{8}-[a-f0-9]{4}-4[a-f0-9]{3}-a[a-f0-9]{3}-[a-f0-9]{12}>",
    "Authorization: Bearer <[A-Za-z0-9_.-]{40}>",
    "-H \"X-Api-Key: <[A-Za-z0-9]{32}>\"",
    "postgres://app:<[A-Za-z0-9]{16}>@db.internal:5432/app",
    "mongodb+srv://root:<[A-Za-z0-9]{20}>@cluster0.mongodb.invalid/?retryWrites=true",
    "redis://:<[A-Za-z0-9]{32}>@cache:6379/0",
    "amqp://svc:<[A-Za-z0-9_-]{24}>@mq:5672/",
    "Server=tcp:db;Database=x;User ID=sa;Password=<[A-Za-z0-9]{20}>;Encrypt=true",
    "DefaultEndpointsProtocol=https;AccountName=x;AccountKey=<[A-Za-z0-9+/]{86}>==;",
    "jdbc:mysql://db/app?user=root&password=<[A-Za-z0-9]{18}>",
    "-----BEGIN RSA PRIVATE KEY-----\n<[A-Za-z0-9+/]{64}>\n[A-Za-z0-9+/]{64}\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\n<[A-Za-z0-9+/]{70}>\n-----END OPENSSH PRIVATE KEY-----",
    "key: \"-----BEGIN PRIVATE KEY-----\\n<[A-Za-z0-9+/]{64}>\\n-----END PRIVATE KEY-----\"",
];

/// A generator of numbers (xorshift), so that a failure comes again.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % n
    }

    /// Draws the text of a form, with `<` and `>` where they stand around a set.
    fn text(&mut self, form: &str) -> String {
        let (mut text, mut rest) = (String::new(), form);
        while let Some((before, after)) = rest.split_once('[') {
            let (set, after) = after.split_once("]{").unwrap();
            let (n, after) = after.split_once('}').unwrap();
            text.push_str(before);
            let set = expand(set);
            text.extend((0..n.parse().unwrap()).map(|_: usize| set[self.below(set.len())]));
            rest = after;
        }
        text + rest
    }
}

/// `a-c_` is `abc_`; a hyphen at the end is one.
fn expand(set: &str) -> Vec<char> {
    let chars: Vec<char> = set.chars().collect();
    let (mut all, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        if at + 2 < chars.len() && chars[at + 1] == '-' {
            all.extend(chars[at]..=chars[at + 2]);
            at += 3;
        } else {
            all.push(chars[at]);
            at += 1;
        }
    }
    all
}

/// Whether neither half of a secret is left.
fn is_gone(text: &str, secret: &str) -> bool {
    let clean = redact(text, &[]);
    let (first, second) = secret.split_at(secret.len() / 2);
    !clean.contains(first) && !clean.contains(second) && !find(text, &[]).is_empty()
}

/// What was planted, and what was missed: how often by form, with the last example.
#[derive(Default)]
struct Count {
    planted: usize,
    missed: BTreeMap<&'static str, (usize, String)>,
}

impl Count {
    fn add(&mut self, form: &'static str, text: &str, secret: &str) {
        self.planted += 1;
        if !is_gone(text, secret) {
            let (n, example) = self.missed.entry(form).or_default();
            *n += 1;
            *example = text.replace('\n', "\\n");
        }
    }
}

#[test]
fn ninety_nine_of_a_hundred_planted_secrets_are_found() {
    let (mut draw, mut count) = (Draw(0x5ec2_e75e_ed00_0001), Count::default());
    for form in KEYS {
        for place in PLACES.iter().cycle().take(4 * PLACES.len()) {
            let key = draw.text(form);
            count.add(form, &place.replace('@', &key), &key);
        }
    }
    let keys = count.planted;
    for form in ASSIGNED {
        // A form may hold other `<`: the secret is what stands around its first set.
        let (before, rest) = form.split_once("<[").unwrap();
        let (secret, after) = rest.rsplit_once("}>").unwrap();
        for _ in 0..100 {
            let secret = draw.text(&format!("[{secret}}}"));
            count.add(form, &format!("x = 1\n{before}{secret}{}\ny = 2", draw.text(after)), &secret);
        }
    }
    let missed: usize = count.missed.values().map(|(n, _)| n).sum();
    println!(
        "{} of {} planted secrets found, {keys} of them keys: {:#?}",
        count.planted - missed,
        count.planted,
        count.missed
    );
    assert!(missed * 100 <= count.planted, "missed {missed}: {:#?}", count.missed);
}

/// For measuring on a tree of one's own: `MUX_SECRETS_TREE=DIR cargo test … -- --ignored --nocapture secrets_of_a_tree`.
#[test]
#[ignore = "needs a tree to look at"]
#[expect(clippy::disallowed_methods, reason = "a measurement, told by the environment what to measure")]
fn secrets_of_a_tree() {
    let root = std::env::var("MUX_SECRETS_TREE").unwrap();
    let (mut dirs, mut lines, mut bytes, mut found) = (vec![std::path::PathBuf::from(root)], 0, 0, 0);
    let mut spent = std::time::Duration::ZERO;
    while let Some(dir) = dirs.pop() {
        for entry in fs_err::read_dir(dir).unwrap().flatten() {
            let kind = entry.file_type().unwrap();
            if kind.is_dir() {
                dirs.push(entry.path());
            }
            let Some(text) = fs_err::read(entry.path()).ok().and_then(|bytes| String::from_utf8(bytes).ok()) else {
                continue;
            };
            if !kind.is_file() || text.contains('\0') {
                continue;
            }
            let start = std::time::Instant::now();
            let finds = find(&text, &[]);
            spent += start.elapsed();
            (lines, bytes, found) = (lines + text.lines().count(), bytes + text.len(), found + finds.len());
            for find in finds {
                println!("{}:{} {} {}", entry.path().display(), find.line, find.rule, find.excerpt);
            }
        }
    }
    let per_100_kb = spent.as_secs_f64() * 1e3 / (bytes as f64 / 1e5);
    println!("{lines} lines, {bytes} bytes, {found} found, {per_100_kb:.3} ms per 100 KB");
    assert!(lines > 0, "an empty tree proves nothing");
}
