//! Reads tokens that `syn` does not parse: those inside macros and attributes.

use proc_macro2::{Delimiter, Ident, TokenStream, TokenTree};
use syn::Attribute;

use crate::modules::Written;

/// Finds what looks like a path, as only the macro itself knows its grammar. In an attribute, a
/// string counts too: `#[serde(with = "crate::clock")]`.
pub fn paths_in(tokens: TokenStream, in_attribute: bool, paths: &mut Vec<Written>) {
    let tokens: Vec<_> = tokens.into_iter().collect();
    let is = |at: usize, sign: char| match tokens.get(at) {
        Some(TokenTree::Punct(punct)) => punct.as_char() == sign,
        _ => false,
    };
    let mut at = 0;
    while at < tokens.len() {
        let before = |sign| at > 0 && is(at - 1, sign);
        match &tokens[at] {
            TokenTree::Group(group) => paths_in(group.stream(), in_attribute, paths),
            TokenTree::Literal(literal) if in_attribute => {
                let text = literal.to_string();
                let parts = text.trim_matches('"').split("::");
                let segments: Vec<_> = parts.map(String::from).collect();
                let word = |part: &String| part.chars().all(|it| it.is_alphanumeric() || it == '_');
                if segments.len() > 1 && segments.iter().all(word) {
                    paths.push(Written { segments, line: literal.span().start().line });
                }
            }
            TokenTree::Ident(first) => {
                let mut segments = vec![plain(first)];
                // A field or method, a lifetime, the rest of a longer path.
                let field = before('.') && !(at > 1 && is(at - 2, '.'));
                let variable = before('$') && first != "crate";
                let skipped = field || variable || before('\'') || before(':') && is(at - 2, ':');
                while is(at + 1, ':') && is(at + 2, ':') {
                    let Some(TokenTree::Ident(next)) = tokens.get(at + 3) else { break };
                    segments.push(plain(next));
                    at += 3;
                }
                let called = match tokens.get(at + 1) {
                    Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Parenthesis,
                    _ => is(at + 1, '!'),
                };
                // Most other words are variables.
                let named = segments[0].starts_with(char::is_uppercase);
                if !skipped && (segments.len() > 1 || called || named) {
                    paths.push(Written { segments, line: first.span().start().line });
                }
            }
            _ => {}
        }
        at += 1;
    }
}

/// The paths of `#[path = "…"]`, and those of `#[cfg_attr(…, path = "…")]`.
pub fn path_attributes(attributes: &[Attribute]) -> (Vec<String>, Vec<String>) {
    let (mut always, mut sometimes) = (Vec::new(), Vec::new());
    for attribute in attributes {
        match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("path") => {
                if let syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(path), .. }) = &pair.value {
                    always.push(path.value());
                }
            }
            syn::Meta::List(list) if list.path.is_ident("cfg_attr") => {
                let tokens: Vec<_> = list.tokens.clone().into_iter().collect();
                for three in tokens.windows(3) {
                    let [TokenTree::Ident(name), _, TokenTree::Literal(path)] = three else {
                        continue;
                    };
                    if name == "path" {
                        sometimes.push(path.to_string().trim_matches('"').into());
                    }
                }
            }
            _ => {}
        }
    }
    (always, sometimes)
}

/// A name without the `r#` of a raw one.
pub fn plain(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").into()
}
