//! The pages that people see.

/// Asks whether a client may have what it wants. The ticket stands for its request.
pub fn consent(client_name: &str, scope: &str, ticket: &str) -> String {
    let mut scopes = String::new();
    for scope in scope.split_whitespace() {
        scopes.extend(["<li><code>", &escape(scope), "</code></li>\n"]);
    }
    let name = escape(client_name);
    let ticket = escape(ticket);
    page(
        "Authorize access",
        &format!(
            "<p><strong>{name}</strong> asks for access to the demo account with these scopes:</p>
<ul>
{scopes}</ul>
<form method=\"post\" action=\"/oauth2/v1/authorize/decision\">
<input type=\"hidden\" name=\"ticket\" value=\"{ticket}\">
<button type=\"submit\" name=\"decision\" value=\"allow\">Allow</button>
<button type=\"submit\" name=\"decision\" value=\"deny\">Deny</button>
</form>"
        ),
    )
}

/// Tells a person what is wrong where the client cannot be told.
pub fn error(message: &str) -> String {
    page("This request cannot be answered", &format!("<p>{}</p>", escape(message)))
}

fn page(title: &str, content: &str) -> String {
    format!(
        "<!doctype html>
<html lang=\"en\">
<head>
<meta charset=\"utf-8\">
<title>{title}</title>
<style>body {{ font: 1rem/1.5 sans-serif; max-width: 32rem; margin: 3rem auto }}</style>
</head>
<body>
<h1>{title}</h1>
{content}
<p><small>This is a demo authorization server. It knows no real accounts.</small></p>
</body>
</html>
"
    )
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(character),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_client_says_is_text_only() {
        let page = super::consent("<script>a</script>", "x <b>'\"&", "ticket");
        assert!(!page.contains("<script>") && !page.contains("<b>"));
        assert!(page.contains("&lt;script&gt;a&lt;/script&gt;"));
        assert!(page.contains("<code>&lt;b&gt;&#39;&quot;&amp;</code>"));
    }
}
