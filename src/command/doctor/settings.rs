//! What is configured, where that came from, and what contradicts it.

use std::path::{Path, PathBuf};

use super::account::Account;
use super::finding::{Finding, Verdict};
use crate::broker::Context;
use crate::config::{Config, ConfigError, Setting, Source};
use crate::environment::Environment;
use crate::exit::ExitKind;
use crate::session::{InstallationPaths, KeySettings};
use crate::site::{Site, SiteName};

/// One value of the configuration, and where it came from.
pub struct ShownSetting {
    pub name: &'static str,
    /// Nothing where nothing is set and nothing is assumed.
    pub value: Option<String>,
    pub source: Source,
}

impl ShownSetting {
    fn of<T>(
        name: &'static str,
        setting: Option<&Setting<T>>,
        show: impl FnOnce(&T) -> String,
    ) -> Self {
        let source = setting.map_or(Source::Default, |setting| setting.source.clone());
        Self { name, value: setting.map(|setting| show(&setting.value)), source }
    }
}

/// Everything that is configured, and whether it means something.
pub fn look(context: &Context<'_>, paths: &InstallationPaths) -> (Vec<ShownSetting>, Finding) {
    let check = "configuration";
    let mut settings = fixed(context.config, paths, context.environment);
    let finding = match (extend(&mut settings, context), context.config.file_path()) {
        (Err(error), _) => Finding::problem(check, error).remedy("set it right"),
        (Ok(()), Ok(file)) => {
            let there = if file.exists() { "read" } else { "not there, which is fine" };
            Finding::ok(check, format!("{} is {there}", file.display()))
        }
        (Ok(()), Err(error)) => Finding::note(check, format!("config.toml is not read: {error}")),
    };
    (settings, finding)
}

/// What every command has read by now.
fn fixed(
    config: &Config,
    paths: &InstallationPaths,
    environment: &Environment,
) -> Vec<ShownSetting> {
    let KeySettings { place, named_file, kernel_stay, .. } = &paths.key;
    let variable = |name: &'static str| {
        let set = environment.path(name).is_some();
        if set { Source::Variable(name) } else { Source::Default }
    };
    let directory = |name, path: Option<PathBuf>, variables: &[&'static str]| {
        let source = variables.iter().find(|name| {
            let above = environment.path(name).filter(|above| above.is_absolute());
            above.is_some_and(|above| path.as_ref().is_some_and(|path| path.starts_with(above)))
        });
        let source = source.map_or(Source::Default, |name| Source::Variable(name));
        ShownSetting { name, value: path.map(|path| path.display().to_string()), source }
    };
    let state = ["DD_OAUTH_STATE_DIR", "XDG_STATE_HOME", "LOCALAPPDATA"];
    let stay =
        kernel_stay.map_or("off".into(), |stay| humantime::format_duration(stay).to_string());
    vec![
        ShownSetting::of("site", config.site.as_ref(), shown_site),
        ShownSetting::of("org", config.org.as_ref(), ToString::to_string),
        directory("state_directory", Some(paths.state_directory.clone()), &state),
        directory("key_directory", paths.data.path().ok(), &["XDG_DATA_HOME", "LOCALAPPDATA"]),
        directory("config_file", config.file_path().ok(), &["XDG_CONFIG_HOME", "APPDATA"]),
        ShownSetting {
            name: "token_storage",
            value: place.map(|place| place.to_string()),
            source: variable("DD_TOKEN_STORAGE"),
        },
        ShownSetting {
            name: "key_file",
            value: named_file.as_ref().map(|path| path.display().to_string()),
            source: variable("DD_OAUTH_KEY_FILE"),
        },
        ShownSetting {
            name: "kernel_keyring",
            value: Some(stay),
            source: variable("DD_OAUTH_KERNEL_KEYRING"),
        },
    ]
}

/// What is read only once it is needed.
fn extend(settings: &mut Vec<ShownSetting>, context: &Context<'_>) -> Result<(), ConfigError> {
    let (config, environment) = (context.config, context.environment);
    let interactive = config.interactive(environment)?;
    settings.push(ShownSetting::of("interactive", Some(&interactive), |value| {
        format!("{value:?}").to_lowercase()
    }));
    let port = Config::callback_port(None, environment)?;
    settings.push(ShownSetting::of("callback_port", port.as_ref(), ToString::to_string));
    let trusted: Vec<_> = config.file()?.trusted_sites.iter().map(ToString::to_string).collect();
    let source = match config.file_path() {
        Ok(file) if !trusted.is_empty() => Source::File(file),
        _ => Source::Default,
    };
    let value = (!trusted.is_empty()).then(|| trusted.join(", "));
    settings.push(ShownSetting { name: "trusted_sites", value, source });
    Ok(())
}

fn shown_site(name: &SiteName) -> String {
    match name {
        SiteName::Site(site) => site.to_string(),
        SiteName::Vanity(vanity) => vanity.host.clone(),
    }
}

/// Variables that lead other programs past the session. What they hold is never shown.
pub fn conflicts(environment: &Environment, account: &Account<'_>) -> Vec<Finding> {
    let check = "variables";
    let set = |names: &[&'static str]| {
        let set = names.iter().filter(|name| environment.path(name).is_some());
        set.copied().collect::<Vec<_>>().join(", ")
    };
    let mut found = Vec::new();
    let site = account.site();
    for name in ["DD_HOST", "DATADOG_HOST"] {
        if environment.path(name).is_some_and(|host| !names_site(&host, &site)) {
            let text = format!("{name} names another host than that of the site {site}");
            let finding = Finding::new(check, Verdict::Problem(ExitKind::Usage), text);
            found.push(finding.remedy(format!(
                "unset {name}, or name the same site there and in DD_SITE: a token of one is worth nothing at the other"
            )));
        }
    }
    let tokens = set(&["DD_BEARER_TOKEN", "DD_ACCESS_TOKEN"]);
    if !tokens.is_empty() {
        let text =
            format!("{tokens}: a program that reads it takes that token, which nobody renews");
        found.push(
            Finding::note(check, text).remedy(format!("unset {tokens} where it is not meant")),
        );
    }
    let keys = set(&["DD_API_KEY", "DD_APP_KEY", "DATADOG_API_KEY", "DATADOG_APP_KEY"]);
    if account.has_session() && !keys.is_empty() {
        let text =
            format!("{keys} beside a session: a program may take the keys, and their rights");
        found.push(
            Finding::note(check, text).remedy(format!("unset {keys} where they are not meant")),
        );
    }
    if found.is_empty() {
        found.push(Finding::ok(check, "none contradicts another, or the session"));
    }
    found
}

/// Whether somebody wrote this site there, in whatever way.
fn names_site(host: &Path, site: &Site) -> bool {
    host.to_str().and_then(|text| Site::parse(text).ok()).is_some_and(|named| named == *site)
}
