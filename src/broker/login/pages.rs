//! The pages that the browser shows at the end of a login.

use crate::broker::BrokerError;
use crate::oauth::Page;
use crate::session::Session;
use crate::site::Site;

use super::logged_in::LoggedIn;

/// Who is logged in to what; `begun_at` is the site that was asked for.
pub fn done_page(done: &LoggedIn, begun_at: &Site) -> Page {
    let Session { name, org_name, .. } = &done.session;
    let site = &name.site;
    let label = match site.label() {
        label if label == site.to_string() => label,
        label => format!("{label} ({site})"),
    };
    let mut facts = Vec::new();
    facts.extend(org_name.as_ref().map(|own| ("Organization", own.to_string())));
    if name.org != *org_name {
        facts.extend(name.org.as_ref().map(|org| ("Kept as", org.to_string())));
    }
    facts.push(("Site", label));
    if site != begun_at {
        facts.push(("Asked for", begun_at.label()));
    }
    facts.push(("Access", done.scope_count()));
    let not_granted = done.not_granted();
    if !not_granted.is_empty() {
        facts.push(("Not granted", not_granted.iter().collect::<Vec<_>>().join(", ")));
    }
    Page::done("Logged in", "You can close this tab and go back to your work.", facts)
}

/// Why there is no session.
pub fn failed_page(error: &BrokerError) -> Page {
    let text = error.to_string();
    let mut rest = text.chars();
    let first = rest.next().map(char::to_uppercase).into_iter().flatten();
    let text = format!("{}{}.", first.collect::<String>(), rest.as_str());
    let next = "go back to the terminal, which says the same, and run `dd-oauth login` again";
    Page::failed("Not logged in", &text, vec![("Stored", "nothing".into()), ("Next", next.into())])
}

/// The offer to log in with read access alone, at `url`.
pub fn offer_page(site: &str, url: &str) -> Page {
    let text = format!(
        "{site} refused the access that was asked for, and did not say which part of it. You can \
         log in with read access alone, or close this tab and ask for other scopes with --scopes."
    );
    Page::offer("Log in with less access?", &text, url, "Log in with read access")
}
