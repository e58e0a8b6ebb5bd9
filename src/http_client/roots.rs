//! The certificates that servers are verified with.

use reqwest::Certificate;

use super::{HttpError, causes};
use crate::environment::Environment;

/// The certificates that servers are verified with.
pub struct Roots {
    /// The variable that names them; without one they are the operating system's.
    pub variable: Option<&'static str>,
    pub count: usize,
    /// What could not be read, beside those that could.
    pub unreadable: Option<String>,
}

impl Roots {
    /// Those that [`Http::for_site`](super::Http::for_site) uses.
    ///
    /// # Errors
    /// If the roots that the environment names cannot be read.
    pub fn of(environment: &Environment) -> Result<Self, HttpError> {
        if let Some(named) = named_roots(environment)? {
            let (variable, count) = (Some(named.variable), named.certificates.len());
            return Ok(Self { variable, count, unreadable: named.unreadable });
        }
        let found = rustls_native_certs::load_native_certs();
        let unreadable = found.errors.first().map(|error| causes(error));
        Ok(Self { variable: None, count: found.certs.len(), unreadable })
    }
}

/// The roots that the environment names.
pub(super) struct NamedRoots {
    variable: &'static str,
    pub(super) certificates: Vec<Certificate>,
    unreadable: Option<String>,
}

pub(super) fn named_roots(environment: &Environment) -> Result<Option<NamedRoots>, HttpError> {
    let file = environment.path("SSL_CERT_FILE");
    // A list, as in OpenSSL.
    let directories = environment.path("SSL_CERT_DIR").unwrap_or_default();
    let directories: Vec<_> = std::env::split_paths(&directories)
        .filter(|directory| !directory.as_os_str().is_empty())
        .collect();
    let variable = match (&file, directories.as_slice()) {
        (None, []) => return Ok(None),
        (Some(_), _) => "SSL_CERT_FILE",
        (None, _) => "SSL_CERT_DIR",
    };
    let bad = |why: String| HttpError::BadRoots { variable, why };
    let mut found = rustls_native_certs::load_certs_from_paths(file.as_deref(), None);
    for directory in &directories {
        let more = rustls_native_certs::load_certs_from_paths(None, Some(directory));
        found.certs.extend(more.certs);
        found.errors.extend(more.errors);
    }
    if found.certs.is_empty() {
        let why =
            found.errors.first().map_or_else(|| "there are none".into(), |error| causes(error));
        return Err(bad(why));
    }
    let certificates = found.certs.iter().map(|der| Certificate::from_der(der));
    let certificates =
        certificates.collect::<Result<_, _>>().map_err(|error| bad(causes(&error)))?;
    let unreadable = found.errors.first().map(|error| causes(error));
    Ok(Some(NamedRoots { variable, certificates, unreadable }))
}
