//! The parameters with which the browser comes back.

/// The parameters of a callback. All of them are hints from outside.
#[derive(Clone, Debug, Default)]
pub struct Redirect {
    pub state: Option<String>,
    pub code: Option<String>,
    pub error: Option<String>,
    pub error_description: Option<String>,
    /// RFC 9207.
    pub iss: Option<String>,
    /// Datadog's own: the bare host of the region.
    pub domain: Option<String>,
    /// Datadog's own: the URL of the region.
    pub site: Option<String>,
    pub dd_oid: Option<String>,
    pub dd_org_name: Option<String>,
}

/// A parameter stands twice, which OAuth forbids (RFC 6749, section 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Repeated;

impl Redirect {
    /// Reads the query of a callback.
    ///
    /// # Errors
    /// If a parameter is repeated.
    pub fn parse(query: &str) -> Result<Self, Repeated> {
        let mut redirect = Self::default();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let field = match &*key {
                "state" => &mut redirect.state,
                "code" => &mut redirect.code,
                "error" => &mut redirect.error,
                "error_description" => &mut redirect.error_description,
                "iss" => &mut redirect.iss,
                "domain" => &mut redirect.domain,
                "site" => &mut redirect.site,
                "dd_oid" => &mut redirect.dd_oid,
                "dd_org_name" => &mut redirect.dd_org_name,
                _ => continue,
            };
            if field.replace(value.into_owned()).is_some() {
                return Err(Repeated);
            }
        }
        Ok(redirect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_stands_once() {
        assert_eq!(Redirect::parse("code=a&x=1&x=2&state=b").unwrap().code.as_deref(), Some("a"));
        assert_eq!(Redirect::parse("code=a&c%6fde=b").unwrap_err(), Repeated);
    }
}
