//! The page that the browser shows at the end of a login. It carries no token, loads nothing,
//! and escapes whatever came from outside.

/// A page with one message.
#[derive(Debug)]
pub struct Page {
    status: u16,
    title: String,
    text: String,
}

/// What a browser may do with our pages: show them.
const HEADERS: &str = "Content-Type: text/html; charset=utf-8\r\n\
    Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
    form-action 'none'; frame-ancestors 'none'\r\n\
    Cache-Control: no-store\r\nReferrer-Policy: no-referrer\r\nX-Content-Type-Options: nosniff\r\n\
    Connection: close\r\n";

const STYLE: &str = ":root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;\
    max-width:34rem;margin:15vh auto;padding:0 1.5rem}h1{font-size:1.4rem}";

impl Page {
    /// A page for an HTTP status; `title` and `text` are escaped.
    #[must_use]
    pub fn new(status: u16, title: &str, text: &str) -> Self {
        Self { status, title: escape(title), text: escape(text) }
    }

    /// The whole HTTP response.
    #[must_use]
    pub fn response(&self) -> Vec<u8> {
        let Self { status, title, text } = self;
        let body = format!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <title>{title}</title><style>{STYLE}</style><h1>{title}</h1><p>{text}</p></html>\n"
        );
        let reason = match status {
            200 => "OK",
            400 => "Bad Request",
            404 => "Not Found",
            405 => "Method Not Allowed",
            _ => "Misdirected Request",
        };
        let length = body.len();
        format!("HTTP/1.1 {status} {reason}\r\n{HEADERS}Content-Length: {length}\r\n\r\n{body}")
            .into_bytes()
    }
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
        let page = Page::new(200, "<script>", "\"'&</p>\r\nSet-Cookie: x");
        let response = String::from_utf8(page.response()).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        assert!(!body.contains("<script>") && !body.contains("\"'&<"));
        assert!(!head.contains("Set-Cookie"));
    }
}
