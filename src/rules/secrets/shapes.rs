//! The shapes of keys: what issuers put in front so that keys can be found. Data, and the search in it.

use super::drawn::is_placeholder;
use super::{JUDGED, Span, is_alphanumeric, is_start, is_upper_or_digit, is_word, is_word_or_dot, run};
use std::sync::LazyLock;

/// One shape: a prefix, then at least `least` characters, all of the class.
struct Shape {
    rule: &'static str,
    prefix: &'static str,
    class: fn(u8) -> bool,
    least: usize,
}

const fn shape(rule: &'static str, prefix: &'static str, class: fn(u8) -> bool, least: usize) -> Shape {
    Shape { rule, prefix, class, least }
}

/// The first shape that fits wins, so longer prefixes stand before shorter ones. Lengths are a little below what the
/// issuers document. Sources: the issuers' pages on their token formats and secret scanning partners.
const SHAPES: &[Shape] = &[
    // Models.
    shape("anthropic-key", "sk-ant-", is_word, 20),
    shape("openai-key", "sk-proj-", is_word, 20),
    shape("openai-key", "sk-svcacct-", is_word, 20),
    shape("openai-key", "sk-admin-", is_word, 20),
    shape("openrouter-key", "sk-or-v1-", is_word, 20),
    shape("langsmith-key", "lsv2_", is_word, 36),
    // `sk-` begins many harmless names (CSS classes, `sk-learn`): one long run without a hyphen is asked for.
    shape("openai-key", "sk-", is_alphanumeric, 16),
    shape("huggingface-token", "hf_", is_alphanumeric, 30),
    shape("huggingface-token", "api_org_", is_alphanumeric, 30),
    shape("groq-key", "gsk_", is_alphanumeric, 40),
    shape("xai-key", "xai-", is_alphanumeric, 40),
    shape("perplexity-key", "pplx-", is_alphanumeric, 40),
    shape("replicate-token", "r8_", is_alphanumeric, 36),
    shape("nvidia-key", "nvapi-", is_word, 60),
    shape("tavily-key", "tvly-", is_word, 30),
    shape("elevenlabs-key", "sk_", is_hex, 48),
    shape("pinecone-key", "pcsk_", is_word, 60),
    shape("langfuse-key", "sk-lf-", is_hex_or_hyphen, 36),
    // Code hosts and registries.
    shape("github-token", "ghp_", is_alphanumeric, 30),
    shape("github-token", "gho_", is_alphanumeric, 30),
    shape("github-token", "ghu_", is_alphanumeric, 30),
    shape("github-token", "ghs_", is_alphanumeric, 30),
    shape("github-token", "ghr_", is_alphanumeric, 30),
    shape("github-token", "github_pat_", is_word, 22),
    shape("gitlab-token", "glpat-", is_word_or_dot, 20),
    shape("gitlab-token", "gldt-", is_word, 20),
    shape("gitlab-token", "glrt-", is_word_or_dot, 20),
    shape("gitlab-token", "glptt-", is_word, 36),
    shape("gitlab-token", "glcbt-", is_word, 22),
    shape("gitlab-token", "glft-", is_word, 20),
    shape("gitlab-token", "glffct-", is_word, 20),
    shape("gitlab-token", "glimt-", is_word, 20),
    shape("gitlab-token", "glagent-", is_word, 40),
    shape("gitlab-token", "gloas-", is_word, 50),
    shape("gitlab-token", "glsoat-", is_word, 20),
    shape("gitlab-token", "GR1348941", is_word, 20),
    shape("atlassian-token", "ATATT3", is_word_or_sign, 60),
    shape("atlassian-token", "ATCTT3", is_word_or_sign, 60),
    shape("atlassian-token", "ATBB", is_alphanumeric, 24),
    shape("npm-token", "npm_", is_alphanumeric, 30),
    shape("pypi-token", "pypi-AgE", is_word, 40),
    shape("rubygems-key", "rubygems_", is_alphanumeric, 40),
    shape("docker-token", "dckr_pat_", is_word, 20),
    shape("docker-token", "dckr_oat_", is_word, 20),
    shape("artifactory-key", "AKCp", is_alphanumeric, 60),
    shape("clojars-token", "CLOJARS_", is_alphanumeric, 50),
    shape("sourcegraph-token", "sgp_", is_word, 40),
    shape("cargo-token", "cio", is_alphanumeric, 32),
    shape("nuget-key", "oy2", is_lower_or_digit, 43),
    shape("buildkite-token", "bkua_", is_hex, 40),
    shape("circleci-token", "CCIPAT_", is_word, 60),
    shape("sonar-token", "squ_", is_hex, 40),
    shape("sonar-token", "sqp_", is_hex, 40),
    shape("sonar-token", "sqa_", is_hex, 40),
    shape("harness-token", "pat.", is_word_or_dot, 66),
    // Clouds.
    shape("aws-key", "AKIA", is_upper_or_digit, 16),
    shape("aws-key", "ASIA", is_upper_or_digit, 16),
    shape("aws-key", "ABIA", is_upper_or_digit, 16),
    shape("aws-key", "ACCA", is_upper_or_digit, 16),
    shape("aws-key", "ABSK", is_base64, 100),
    shape("google-key", "AIza", is_word, 30),
    shape("google-token", "ya29.", is_word, 30),
    shape("google-secret", "GOCSPX-", is_word, 20),
    shape("alibaba-key", "LTAI", is_alphanumeric, 16),
    shape("digitalocean-token", "dop_v1_", is_alphanumeric, 40),
    shape("digitalocean-token", "doo_v1_", is_alphanumeric, 40),
    shape("digitalocean-token", "dor_v1_", is_alphanumeric, 40),
    shape("cloudflare-key", "v1.0-", is_word, 150),
    shape("heroku-key", "HRKU-AA", is_word, 50),
    shape("heroku-key", "HRKU-", is_hex_or_hyphen, 36),
    shape("flyio-token", "fo1_", is_word, 40),
    shape("flyio-token", "fm1a_", is_base64, 80),
    shape("flyio-token", "fm1r_", is_base64, 80),
    shape("flyio-token", "fm2_", is_base64, 80),
    shape("netlify-token", "nfp_", is_alphanumeric, 30),
    shape("supabase-key", "sbp_", is_alphanumeric, 40),
    shape("supabase-key", "sb_secret_", is_word, 20),
    shape("databricks-token", "dapi", is_hex, 32),
    shape("planetscale-token", "pscale_tkn_", is_word_or_dot, 30),
    shape("planetscale-token", "pscale_oauth_", is_word_or_dot, 30),
    shape("planetscale-token", "pscale_pw_", is_word_or_dot, 30),
    shape("pulumi-token", "pul-", is_hex, 40),
    shape("neon-key", "napi_", is_alphanumeric, 60),
    shape("aiven-password", "AVNS_", is_word, 18),
    shape("launchdarkly-key", "sdk-", is_hex_or_hyphen, 36),
    shape("launchdarkly-key", "api-", is_hex_or_hyphen, 36),
    shape("infura-key", "infura.io/v3/", is_hex, 32),
    shape("alchemy-key", "g.alchemy.com/v2/", is_word, 32),
    shape("prefect-token", "pnu_", is_alphanumeric, 36),
    shape("doppler-token", "dp.pt.", is_alphanumeric, 40),
    shape("doppler-token", "dp.st.", is_word_or_dot, 40),
    shape("vault-token", "hvs.", is_word, 60),
    shape("vault-token", "hvb.", is_word, 100),
    shape("tailscale-key", "tskey-", is_word, 20),
    shape("onepassword-token", "ops_eyJ", is_base64, 150),
    shape("onepassword-key", "A3-", is_upper_or_hyphen, 30),
    shape("age-key", "AGE-SECRET-KEY-1", is_upper_or_digit, 50),
    // The base64 of a PEM block, as a kubeconfig holds it: `-----BEGIN ` and the first letters of the label.
    shape("private-key", "LS0tLS1CRUdJTiBQUklW", is_base64, 40),
    shape("private-key", "LS0tLS1CRUdJTiBSU0Eg", is_base64, 40),
    shape("private-key", "LS0tLS1CRUdJTiBFQyBQ", is_base64, 40),
    shape("private-key", "LS0tLS1CRUdJTiBFTkNS", is_base64, 40),
    shape("private-key", "LS0tLS1CRUdJTiBPUEVO", is_base64, 40),
    // Messages and work.
    shape("slack-token", "xoxb-", is_word, 20),
    shape("slack-token", "xoxp-", is_word, 20),
    shape("slack-token", "xoxe-", is_word, 20),
    shape("slack-token", "xoxe.xox", is_word, 30),
    shape("slack-token", "xoxa-", is_word, 8),
    shape("slack-token", "xoxr-", is_word, 8),
    shape("slack-token", "xoxo-", is_word, 20),
    shape("slack-token", "xoxs-", is_word, 20),
    shape("slack-token", "xapp-", is_word, 20),
    shape("slack-webhook", "hooks.slack.com/services/", is_word_or_slash, 40),
    shape("slack-webhook", "hooks.slack.com/workflows/", is_word_or_slash, 40),
    shape("discord-webhook", "discord.com/api/webhooks/", is_word_or_slash, 60),
    shape("discord-webhook", "discordapp.com/api/webhooks/", is_word_or_slash, 60),
    shape("teams-webhook", "webhook.office.com/webhookb2/", is_word_slash_or_at, 100),
    shape("resend-key", "re_", is_word, 33),
    shape("notion-token", "secret_", is_alphanumeric, 43),
    shape("contentful-token", "CFPAT-", is_word, 40),
    shape("mapbox-token", "sk.eyJ", is_word_or_dot, 60),
    shape("dropbox-token", "sl.", is_word, 120),
    shape("sendgrid-key", "SG.", is_word_or_dot, 50),
    shape("brevo-key", "xkeysib-", is_word, 70),
    shape("mailgun-key", "key-", is_hex, 32),
    shape("twilio-key", "SK", is_hex, 32),
    shape("notion-token", "ntn_", is_alphanumeric, 40),
    shape("linear-key", "lin_api_", is_alphanumeric, 36),
    shape("airtable-token", "pat", is_word_or_dot, 78),
    shape("hubspot-token", "pat-na1-", is_hex_or_hyphen, 36),
    shape("hubspot-token", "pat-eu1-", is_hex_or_hyphen, 36),
    shape("trello-token", "ATTA", is_alphanumeric, 64),
    shape("typeform-token", "tfp_", is_word, 50),
    shape("postman-key", "PMAK-", is_word, 50),
    shape("figma-token", "figd_", is_word, 36),
    shape("readme-key", "rdme_", is_alphanumeric, 60),
    // Money and shops.
    shape("stripe-key", "sk_live_", is_alphanumeric, 10),
    shape("stripe-key", "rk_live_", is_alphanumeric, 10),
    shape("stripe-key", "sk_prod_", is_alphanumeric, 10),
    shape("stripe-key", "rk_prod_", is_alphanumeric, 10),
    shape("stripe-key", "sk_test_", is_alphanumeric, 20),
    shape("stripe-key", "rk_test_", is_alphanumeric, 20),
    shape("stripe-key", "whsec_", is_alphanumeric, 24),
    shape("square-token", "sq0atp-", is_word, 22),
    shape("square-token", "sq0csp-", is_word, 40),
    shape("square-token", "EAAA", is_word, 56),
    shape("braintree-token", "access_token$production$", is_word_or_dollar, 40),
    shape("flutterwave-key", "FLWSECK-", is_hex, 32),
    shape("facebook-token", "EAAC", is_alphanumeric, 100),
    shape("facebook-token", "EAAM", is_alphanumeric, 100),
    shape("shopify-token", "shpat_", is_hex, 32),
    shape("shopify-token", "shpca_", is_hex, 32),
    shape("shopify-token", "shppa_", is_hex, 32),
    shape("shopify-token", "shpss_", is_hex, 32),
    shape("shippo-token", "shippo_live_", is_hex, 40),
    shape("easypost-key", "EZAK", is_alphanumeric, 50),
    shape("duffel-token", "duffel_live_", is_word, 40),
    shape("duffel-token", "duffel_test_", is_word, 40),
    // Measuring.
    shape("grafana-token", "glsa_", is_word, 40),
    shape("grafana-token", "glc_", is_base64, 32),
    shape("grafana-key", "eyJrIjoi", is_base64, 60),
    shape("newrelic-key", "NRAK-", is_upper_or_digit, 27),
    shape("newrelic-key", "NRII-", is_word, 30),
    shape("posthog-key", "phx_", is_alphanumeric, 40),
    shape("sentry-token", "sntrys_", is_base64, 60),
    shape("sentry-token", "sntryu_", is_hex, 60),
    shape("dynatrace-token", "dt0c01.", is_word_or_dot, 80),
];

/// Whether some prefix may begin with three bytes: one bit for each of 65 536 places that they lead to.
static BEGINNINGS: LazyLock<Vec<u64>> = LazyLock::new(|| {
    let mut bits = vec![0; 1024];
    for shape in SHAPES {
        let (thirds, one, two) = match shape.prefix.as_bytes() {
            [one, two, three, ..] => (*three..=*three, one, two),
            [one, two] => (0..=u8::MAX, one, two),
            [] | [_] => continue,
        };
        for three in thirds {
            let (word, bit) = place(*one, *two, three);
            if let Some(word) = bits.get_mut(word) {
                *word |= bit;
            }
        }
    }
    bits
});

fn place(one: u8, two: u8, three: u8) -> (usize, u64) {
    let place = (usize::from(one) << 10 ^ usize::from(two) << 5 ^ usize::from(three)) & 0xffff;
    (place >> 6, 1 << (place & 63))
}

/// Returns the key of the table that begins at `at`.
pub fn shaped(text: &str, at: usize) -> Option<Span> {
    let rest = text.as_bytes().get(at..)?;
    let [one, two, three, ..] = rest else { return None };
    // Nearly every word of a text comes here, and few of them begin like a key.
    let (word, bit) = place(*one, *two, *three);
    if BEGINNINGS.get(word)? & bit == 0 || !is_start(text, at) {
        return None;
    }
    // By hand: `starts_with` would call `memcmp` for each row, which is two thirds of the time of a whole scan.
    let alike =
        |shape: &&Shape| matches!(shape.prefix.as_bytes(), [first, second, ..] if first == one && second == two);
    for Shape { rule, prefix, class, least } in SHAPES.iter().filter(alike) {
        let Some(body) = rest.strip_prefix(prefix.as_bytes()) else { continue };
        let judged = body.get(..body.len().min(JUDGED)).unwrap_or(body);
        let length = run(judged, *class);
        let Some(judged) = judged.get(..length).filter(|_| length >= *least) else { continue };
        // Short for a mark: a name may begin so too, and has no eight characters before the next `_`.
        if *rule == "resend-key" && (judged.get(8) != Some(&b'_') || length != 33) {
            continue;
        }
        if !is_placeholder(&String::from_utf8_lossy(judged)) && is_mixed(judged) {
            return Some(Span { start: at, end: at + prefix.len() + run(body, *class), rule });
        }
    }
    None
}

/// Whether a body is of more than one kind of character, or its one kind is not spelled out: words joined by hyphens or
/// underscores are names.
fn is_mixed(body: &[u8]) -> bool {
    let has = |class: fn(&u8) -> bool| body.iter().any(class);
    let is_joined = has(|byte| matches!(byte, b'-' | b'_' | b'/' | b'.'));
    !is_joined || has(u8::is_ascii_digit) || (has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase))
}

fn is_hex(byte: u8) -> bool {
    byte.is_ascii_hexdigit()
}

fn is_base64(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'+' | b'/' | b'=')
}

fn is_hex_or_hyphen(byte: u8) -> bool {
    is_hex(byte) || byte == b'-'
}

fn is_lower_or_digit(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn is_word_or_dollar(byte: u8) -> bool {
    is_word(byte) || byte == b'$'
}

fn is_word_slash_or_at(byte: u8) -> bool {
    is_word(byte) || matches!(byte, b'/' | b'@')
}

fn is_word_or_slash(byte: u8) -> bool {
    is_word(byte) || byte == b'/'
}

fn is_word_or_sign(byte: u8) -> bool {
    is_word(byte) || byte == b'='
}

fn is_upper_or_hyphen(byte: u8) -> bool {
    is_upper_or_digit(byte) || byte == b'-'
}
