//! A certificate for a server of one test, and the authority that issued it.

/// All of them in PEM.
pub struct Certificate {
    pub authority: String,
    pub certificate: String,
    pub key: String,
}

impl Certificate {
    /// For a server of these names, from an authority of its own.
    pub fn of(names: &[&str]) -> Self {
        let authority = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        // Names that differ: a certificate that has its issuer's name passes for self-signed.
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "authority of one test");
        let root = parameters.self_signed(&authority).unwrap();
        let issuer = rcgen::Issuer::new(parameters, authority);
        let key = rcgen::KeyPair::generate().unwrap();
        let names: Vec<_> = names.iter().map(ToString::to_string).collect();
        let server = rcgen::CertificateParams::new(names).unwrap();
        let certificate = server.signed_by(&key, &issuer).unwrap();
        Self { authority: root.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
    }
}
