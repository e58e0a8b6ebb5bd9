//! Finds the sessions of earlier tools, in files and in the keychain. Changes nothing.

use std::path::Path;

use zeroize::Zeroizing;

use super::ImportError;
use super::earlier::{
    DATADOG_CLI_CLIENTS, DATADOG_CLI_TOKENS, EarlierSession, LIMIT, Origin, PUP, Tool,
};
use super::shape::{self, Client, Part, Shape, Tokens};
use crate::names::{OrgLabel, SessionName};
use crate::platform::{EarlierDirectories, Privacy};
use crate::session::{Keychain, KeychainEntry, KeychainError, Registration, durable};
use crate::site::Site;

/// What was found, and what was not looked at.
#[derive(Debug, Default)]
pub struct EarlierSessions {
    pub sessions: Vec<EarlierSession>,
    /// What is there and cannot be taken over.
    pub skipped: Vec<ImportError>,
    /// Why the keychain was not looked into.
    pub keychain: Option<KeychainError>,
}

impl EarlierSessions {
    /// Looks into the files of this user, and into the keychain where one is given. Nothing is
    /// changed.
    #[must_use]
    pub fn find(directories: &EarlierDirectories, keychain: Option<Keychain>) -> Self {
        let mut found = Self::default();
        found.add_files_of_datadog_cli(&directories.datadog_cli);
        for directory in &directories.pup {
            found.add_pup_files(directory);
        }
        found.keychain = keychain.and_then(|keychain| found.add_entries(keychain).err());
        found
    }

    fn add_files_of_datadog_cli(&mut self, directory: &Path) {
        let tokens = directory.join("oauth_tokens.json");
        let Some(text) = self.file(directory, &tokens) else { return };
        let clients = self.file(directory, &directory.join("oauth_clients.json"));
        let client_of = |site: &str| Client::of_site(clients.as_ref()?, site);
        self.add(Tool::DatadogCli, &Origin::File(tokens), Shape::BySite, &text, None, &client_of);
    }

    fn add_pup_files(&mut self, directory: &Path) {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        for name in names {
            let stem = name.strip_prefix("tokens_").and_then(|name| name.strip_suffix(".json"));
            let Some(stem) = stem else { continue };
            let path = directory.join(&name);
            let Some(text) = self.file(directory, &path) else { continue };
            let client = self.file(directory, &directory.join(format!("client_{stem}.json")));
            let client_of = |_: &str| Client::parse(client.as_ref()?);
            let origin = Origin::File(path);
            self.add(Tool::Pup, &origin, Shape::ByOrg, &text, Some(stem), &client_of);
        }
    }

    /// The text of a file, or nothing where there is none or it cannot be used, which is told.
    fn file(&mut self, directory: &Path, path: &Path) -> Option<Zeroizing<String>> {
        let read = durable::check_directory(directory)
            .and_then(|()| durable::read(path, Privacy::Owned, LIMIT));
        let bytes = match read {
            Ok(bytes) => Zeroizing::new(bytes?),
            Err(error) => {
                self.skipped.push(error.into());
                return None;
            }
        };
        let text = shape::text_of(&bytes);
        if text.is_none() {
            self.skip(&Origin::File(path.to_path_buf()), None, "is not text");
        }
        text.map(|(text, _)| text)
    }

    /// One failure ends the search: whatever kept one call from its answer keeps the next.
    fn add_entries(&mut self, keychain: Keychain) -> Result<(), KeychainError> {
        let tokens = keychain.entries(DATADOG_CLI_TOKENS)?;
        let clients = keychain.entries(DATADOG_CLI_CLIENTS)?;
        for entry in tokens {
            let Some(site) = entry.account.strip_prefix("oauth:") else { continue };
            let account = format!("client:{site}");
            let client = clients.iter().find(|client| client.account == account);
            let client_of = |_: &str| Client::parse(&shape::text_of(&client?.secret)?.0);
            self.add_entry(Tool::DatadogCli, &entry, Shape::One, site, &client_of);
        }
        for entry in keychain.entries(PUP)? {
            let Some(site) = entry.account.strip_prefix("state_") else { continue };
            let client_of = |_: &str| Client::of_state(&shape::text_of(&entry.secret)?.0);
            self.add_entry(Tool::Pup, &entry, Shape::State, site, &client_of);
        }
        Ok(())
    }

    fn add_entry(
        &mut self,
        tool: Tool,
        entry: &KeychainEntry,
        shape: Shape,
        site: &str,
        client_of: &dyn Fn(&str) -> Option<Client>,
    ) {
        let service = entry.service.clone();
        let origin = Origin::Keychain { service, account: entry.account.clone() };
        let small = u64::try_from(entry.secret.len()).is_ok_and(|length| length <= LIMIT);
        match shape::text_of(&entry.secret).filter(|_| small) {
            Some((text, _)) => self.add(tool, &origin, shape, &text, Some(site), client_of),
            None => self.skip(&origin, None, "is not text, or too long"),
        }
    }

    /// Adds the sessions of one file or entry; `site` is the one that its name tells.
    fn add(
        &mut self,
        tool: Tool,
        origin: &Origin,
        shape: Shape,
        text: &str,
        site: Option<&str>,
        client_of: &dyn Fn(&str) -> Option<Client>,
    ) {
        let parts = match shape::parts(shape, text) {
            Ok(parts) => parts,
            Err(why) => return self.skip(origin, None, why),
        };
        for (part, written) in parts {
            match understood(tool, &part, written, site, client_of) {
                Ok((name, tokens, registration)) => self.sessions.push(EarlierSession {
                    tool,
                    origin: origin.clone(),
                    name,
                    tokens,
                    registration,
                    part,
                }),
                Err(why) => self.skip(origin, part.name(), why),
            }
        }
    }

    fn skip(&mut self, origin: &Origin, part: Option<&str>, why: &'static str) {
        let part = part.map(|part| part.chars().take(100).collect());
        self.skipped.push(ImportError::Malformed { origin: origin.clone(), part, why });
    }
}

/// Makes a session out of one part of a file or entry.
fn understood(
    tool: Tool,
    part: &Part,
    written: &str,
    site: Option<&str>,
    client_of: &dyn Fn(&str) -> Option<Client>,
) -> Result<(SessionName, Tokens, Option<Registration>), &'static str> {
    let named = site.or(part.name()).unwrap_or_default();
    let client = client_of(named);
    let (site, org) = match tool {
        Tool::DatadogCli => (shape::exact_site(named), None),
        Tool::Pup => (shape::site_of_pup(named, client.as_ref()), part.name()),
    };
    let site: Site = site.ok_or("is of a site that is not known by that name")?;
    let org = match org.filter(|org| !org.is_empty()) {
        Some(org) => {
            Some(OrgLabel::parse(org).ok_or("is of an organization without a proper name")?)
        }
        None => None,
    };
    let mut tokens = Tokens::parse(written)?;
    let registration = client.map(|client| client.registration);
    if tokens.client_id.is_none() {
        tokens.client_id = registration.as_ref().map(|known| known.client_id.clone());
    }
    if tokens.refresh.is_some() && tokens.client_id.is_none() {
        return Err("has a refresh token, and no client that may use it");
    }
    let ours = |known: &Registration| Some(&known.client_id) == tokens.client_id.as_ref();
    let registration = registration.filter(ours);
    Ok((SessionName { site, org }, tokens, registration))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(tool: Tool, shape: Shape, site: Option<&str>, text: &str) -> EarlierSessions {
        let mut found = EarlierSessions::default();
        found.add(tool, &Origin::File("x".into()), shape, text, site, &|_| None);
        found
    }

    const RENEWABLE: &str = r#"{"access_token":"a","refresh_token":"r","client_id":"c"}"#;

    #[test]
    fn pup_keeps_a_session_for_each_organization_and_used_to_keep_one() {
        let text = format!(r#"{{"__default__":{RENEWABLE},"acme":{RENEWABLE}}}"#);
        for (shape, text) in
            [(Shape::ByOrg, text.clone()), (Shape::State, format!(r#"{{"tokens":{text}}}"#))]
        {
            let found = add(Tool::Pup, shape, Some("datadoghq_eu"), &text);
            let names: Vec<_> =
                found.sessions.iter().map(|session| session.name.to_string()).collect();
            assert_eq!(names, ["EU1", "EU1 (acme)"], "{shape:?}");
        }
        let found = add(Tool::Pup, Shape::ByOrg, Some("datadoghq_eu"), RENEWABLE);
        assert_eq!(found.sessions[0].name.to_string(), "EU1");
        assert_eq!(found.sessions[0].part, Part::Whole);
    }

    #[test]
    fn one_bad_session_keeps_no_other_from_being_found() {
        let text = format!(
            r#"{{"datadoghq.eu":{RENEWABLE},"EU1":{RENEWABLE},"us3.datadoghq.com":{{"accessToken":1}},
            "us5.datadoghq.com":{{"accessToken":"a","refreshToken":"r"}}}}"#
        );
        let found = add(Tool::DatadogCli, Shape::BySite, None, &text);
        assert_eq!(found.sessions.len(), 1);
        let told: Vec<_> = found.skipped.iter().map(ToString::to_string).collect();
        for (told, words) in told.iter().zip(["EU1 is of a site", "us3", "no client"]) {
            assert!(told.contains(words), "{told}");
        }
    }
}
