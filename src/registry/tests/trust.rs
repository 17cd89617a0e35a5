//! Passwords and certificates.

use super::*;
use crate::registry::testing::{DockerRegistry, Protection, client, net, options};

#[test]
fn a_password_opens_a_registry_and_its_absence_is_explained() {
    let protection = Protection {
        password: true,
        ..Protection::default()
    };
    let (registry, net) = (DockerRegistry::start(&protection), net());
    let image = registry.image("a:1");
    let host = registry.address.replace(['.', ':'], "_").to_uppercase();
    let (user, password) = (
        format!("KANIKO_{host}_USER"),
        format!("KANIKO_{host}_PASSWORD"),
    );
    let with = |word: &str| client(&net, &[(user.as_str(), "me"), (password.as_str(), word)]);

    net.block_on(with("secret").check_push_permission(&image))
        .unwrap();
    push_image(&net, &with("secret"), &image, AMD64, b"layer");

    let refused = net
        .block_on(with("wrong").check_push_permission(&image))
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        format!("checking push permission for \"{image}\"")
    );
    let cause = std::error::Error::source(&refused).unwrap().to_string();
    for part in [
        "repository `a`",
        "401 Unauthorized",
        "UNAUTHORIZED",
        "credentials: env",
        "POST http://",
    ] {
        assert!(cause.contains(part), "{part}: {cause}");
    }
    let anonymous = net.block_on(client(&net, &[]).image(&image, &AMD64.parse().unwrap()));
    let help = anonymous.unwrap_err().help().unwrap();
    assert!(help.contains("no credentials were found"), "{help}");
}

/// An authority, and a certificate of it for 127.0.0.1 with its key, in PEM.
fn certificates() -> (String, String, String) {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "test authority");
    let key = rcgen::KeyPair::generate().unwrap();
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let own = params.signed_by(&own_key, &issuer).unwrap();
    (authority.pem(), own.pem(), own_key.serialize_pem())
}

/// What `openssl req -x509` makes, and what may be wrong with it.
#[test]
fn certificates_that_sign_themselves() {
    let net = net();
    let dir = tempfile::tempdir().unwrap();
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // for         until  refused, with this advice
        ("127.0.0.1",  4000,  None),
        ("127.0.0.1",  2001,  Some("have its certificate renewed")),
        ("other.test", 4000,  Some("call it by a name that its certificate is for")),
    ];
    for (name, until, want) in cases {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        params.not_before = rcgen::date_time_ymd(2000, 1, 1);
        let pem = params.self_signed(&key).unwrap().pem();
        let registry = DockerRegistry::start(&Protection {
            tls: Some((pem.clone(), key.serialize_pem())),
            ..Protection::default()
        });
        let path = dir.path().join("own.pem");
        fs_err::write(&path, pem).unwrap();
        let mut options = options(&[]);
        options.certificates.insert(registry.address.clone(), path);
        let client = Client::new(&net, options).unwrap();
        let checked = net.block_on(client.check_push_permission(&registry.image("a:1")));
        match (checked, want) {
            (Ok(()), None) => {}
            (Err(error), Some(want)) => {
                let help = error.help().unwrap();
                assert!(help.contains(want), "{name}, {until}: {help}");
            }
            (checked, _) => panic!("{name}, {until}: {checked:?}"),
        }
    }
}

#[test]
fn certificates_are_checked_by_registry() {
    let (authority, certificate, key) = certificates();
    let protection = Protection {
        tls: Some((certificate.clone(), key.clone())),
        client_authority: Some(authority.clone()),
        ..Protection::default()
    };
    let (registry, net) = (DockerRegistry::start(&protection), net());
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs_err::write(&path, text).unwrap();
        path
    };
    let client_certificate = ClientCertificate {
        certificate: file("cert.pem", &certificate),
        key: file("key.pem", &key),
    };
    let authority = file("ca.pem", &authority);
    let image = registry.image("a:1");
    let address = registry.address.clone();
    let check = |change: &dyn Fn(&mut Options)| {
        let mut options = options(&[]);
        change(&mut options);
        net.block_on(
            Client::new(&net, options)
                .unwrap()
                .check_push_permission(&image),
        )
    };
    let identify = |options: &mut Options| {
        options
            .client_certificates
            .insert(address.clone(), client_certificate.clone());
    };
    check(&|options| {
        identify(options);
        options
            .certificates
            .insert(address.clone(), authority.clone());
    })
    .unwrap();
    check(&|options| {
        identify(options);
        options.skip_tls_verify_registries.insert(address.clone());
    })
    .unwrap();
    // the authority of another registry is not trusted here
    let error = check(&|options| {
        identify(options);
        options
            .certificates
            .insert("other.io".to_owned(), authority.clone());
    })
    .unwrap_err();
    let help = error.help().unwrap();
    assert!(
        help.contains(&format!("--registry-certificate {address}=")),
        "{help}"
    );
    // and it wants to know who we are
    assert!(check(&|options| options.skip_tls_verify = true).is_err());
    let missing = |options: &mut Options| {
        options
            .certificates
            .insert("r.io".to_owned(), "/none.pem".into());
    };
    let mut broken = options(&[]);
    missing(&mut broken);
    let error = Client::new(&net, broken).err().unwrap();
    assert_eq!(error.to_string(), "failed to load certificate `/none.pem`");
}
