//! The pages that the browser shows. They carry no token, load nothing, and escape whatever came
//! from outside.

use std::fmt::Write;

use oauth2::CsrfToken;

/// Bytes of randomness that tell our own style from one that was smuggled in.
const NONCE_BYTES: u32 = 16;

/// A page with one message.
#[derive(Debug)]
pub struct Page {
    status: u16,
    tone: Tone,
    title: String,
    text: String,
    facts: Vec<(&'static str, String)>,
    link: Option<(String, &'static str)>,
}

/// What the person should feel at first sight.
#[derive(Clone, Copy, Debug)]
enum Tone {
    Done,
    Failed,
    Neutral,
}

const STYLE: &str = "
:root{color-scheme:light dark;--paper:#f4f3f7;--card:#fff;--ink:#1d1a24;--soft:#615c6e;--line:#e3e0ea;
--done:#17724a;--failed:#b3261e;--neutral:#632ca6}
@media(prefers-color-scheme:dark){:root{--paper:#131118;--card:#1d1a24;--ink:#f0eef5;--soft:#a9a3b8;
--line:#35303f;--done:#5bd39b;--failed:#ff8a80;--neutral:#b794f6}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.25rem;background:var(--paper);
color:var(--ink);font:1rem/1.55 system-ui,-apple-system,'Segoe UI',sans-serif}
main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:14px;
padding:2rem;overflow-wrap:anywhere}
svg{width:2.75rem;height:2.75rem;display:block;fill:none;stroke-width:2;stroke-linecap:round;
stroke-linejoin:round}
.done svg{stroke:var(--done)}.failed svg{stroke:var(--failed)}.neutral svg{stroke:var(--neutral)}
h1{font-size:1.4rem;line-height:1.25;margin:1rem 0 .5rem}
p{margin:.5rem 0 0;color:var(--soft)}
dl{margin:1.25rem 0 0;border-top:1px solid var(--line)}
dl div{display:flex;gap:1rem;padding:.6rem 0;border-bottom:1px solid var(--line)}
dt{flex:0 0 7.5rem;color:var(--soft)}dd{margin:0;flex:1;min-width:0}
a{display:inline-block;margin-top:1.25rem;padding:.6rem 1.1rem;border-radius:8px;text-decoration:none;
background:var(--neutral);color:var(--card);font-weight:600}
a:focus-visible{outline:3px solid var(--ink);outline-offset:2px}
footer{margin-top:1.5rem;font-size:.85rem;color:var(--soft)}
@media(max-width:26rem){main{padding:1.5rem}dl div{flex-direction:column;gap:.1rem}dt{flex:none}}
";

impl Page {
    /// The page of a login that succeeded.
    #[must_use]
    pub fn done(title: &str, text: &str, facts: Vec<(&'static str, String)>) -> Self {
        Self { tone: Tone::Done, facts, ..Self::refusal(200, title, text) }
    }

    /// The page of a login that came to nothing.
    #[must_use]
    pub fn failed(title: &str, text: &str, facts: Vec<(&'static str, String)>) -> Self {
        Self { tone: Tone::Failed, facts, ..Self::refusal(200, title, text) }
    }

    /// The page for a request that changes nothing.
    #[must_use]
    pub fn refusal(status: u16, title: &str, text: &str) -> Self {
        let (title, text) = (title.to_string(), text.to_string());
        Self { status, tone: Tone::Neutral, title, text, facts: Vec::new(), link: None }
    }

    /// A page that offers another way.
    #[must_use]
    pub fn offer(title: &str, text: &str, link: &str, label: &'static str) -> Self {
        Self { link: Some((link.to_string(), label)), ..Self::refusal(200, title, text) }
    }

    /// The whole HTTP response.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let nonce = CsrfToken::new_random_len(NONCE_BYTES).into_secret();
        let allow = if self.status == 405 { "Allow: GET\r\n" } else { "" };
        let policy = format!("style-src 'nonce-{nonce}'; img-src data:; ");
        respond(self.status, &policy, allow, &self.body(&nonce))
    }

    fn body(&self, nonce: &str) -> String {
        let (title, text) = (escape(&self.title), escape(&self.text));
        let (class, icon) = match self.tone {
            Tone::Done => ("done", "<path d='M7.5 12.5l3 3 6-6.5'/>"),
            Tone::Failed => ("failed", "<path d='M12 7v6M12 16.5v.01'/>"),
            Tone::Neutral => ("neutral", "<path d='M12 11v6M12 7.5v.01'/>"),
        };
        let mut rest = String::new();
        if !self.facts.is_empty() {
            rest.push_str("<dl>");
            for (label, value) in &self.facts {
                let (label, value) = (escape(label), escape(value));
                let _ = write!(rest, "<div><dt>{label}</dt><dd>{value}</dd></div>");
            }
            rest.push_str("</dl>");
        }
        if let Some((link, label)) = &self.link {
            let _ = write!(rest, "<a href=\"{}\">{}</a>", escape(link), escape(label));
        }
        // The icon keeps browsers from asking for /favicon.ico.
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <link rel=\"icon\" href=\"data:,\">\n<title>{title} · dd-oauth</title>\n\
             <style nonce=\"{nonce}\">{STYLE}</style>\n</head>\n<body>\n<main class=\"{class}\">\n\
             <svg viewBox=\"0 0 24 24\" aria-hidden=\"true\"><circle cx='12' cy='12' r='10'/>{icon}</svg>\n\
             <h1>{title}</h1>\n<p>{text}</p>\n{rest}\n<footer>dd-oauth, on this computer</footer>\n\
             </main>\n</body>\n</html>\n"
        )
    }
}

/// A response that sends the browser on to `location`, with a GET.
pub(super) fn redirection(location: &str) -> Vec<u8> {
    respond(303, "", &format!("Location: {location}\r\n"), "")
}

/// What a browser may do with our responses: show them.
fn respond(status: u16, policy: &str, headers: &str, body: &str) -> Vec<u8> {
    let reason = match status {
        200 => "OK",
        303 => "See Other",
        400 => "Bad Request",
        404 => "Not Found",
        405 => "Method Not Allowed",
        414 => "URI Too Long",
        431 => "Request Header Fields Too Large",
        _ => "Misdirected Request",
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: text/html; charset=utf-8\r\n\
         Content-Security-Policy: default-src 'none'; {policy}base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'\r\n\
         Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\n\
         X-Content-Type-Options: nosniff\r\nCross-Origin-Opener-Policy: same-origin\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\nConnection: close\r\n\
         {headers}Content-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_outside_cannot_become_markup() {
        let hostile = "<script>\"'&</p>\r\nSet-Cookie: x";
        for page in [
            Page::done(hostile, hostile, vec![("Site", hostile.to_string())]),
            Page::failed(hostile, hostile, vec![("Scopes", hostile.to_string())]),
            Page::offer(hostile, hostile, hostile, "Go on"),
        ] {
            let response = String::from_utf8(page.response()).unwrap();
            let (head, body) = response.split_once("\r\n\r\n").unwrap();
            assert!(!body.contains("<script>") && !body.contains("\"'&<"), "{body}");
            assert!(!head.contains("Set-Cookie"), "{head}");
        }
    }

    #[test]
    fn only_the_style_of_this_very_response_is_allowed() {
        let page = Page::refusal(404, "Nothing", "Nothing.");
        let nonce = |response: Vec<u8>| {
            let response = String::from_utf8(response).unwrap();
            let (_, rest) = response.split_once("style-src 'nonce-").unwrap();
            let nonce = rest.split_once('\'').unwrap().0.to_string();
            assert!(response.contains(&format!("<style nonce=\"{nonce}\">")), "{response}");
            assert!(!response.contains("unsafe-inline"), "{response}");
            nonce
        };
        assert_ne!(nonce(page.response()), nonce(page.response()));
    }
}
