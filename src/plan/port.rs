//! Ports as `EXPOSE` spells them.

/// The ports of one argument of `EXPOSE`, and what is remarkable about its spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exposed {
    /// Keys of `ExposedPorts`, such as `80/tcp`; one for each port of a range.
    pub ports: Vec<String>,
    /// An address or a host port was written, which means nothing here.
    pub has_host: bool,
    /// The protocol was not written in lower case.
    pub odd_case: bool,
}

/// Parses `[ip:][host:]port[-port][/proto]` (language spec EXP-PORT-1); the error is the message.
pub(super) fn parse(text: &str) -> Result<Exposed, String> {
    let (address, protocol) = match text.split_once('/') {
        Some((address, protocol)) if !protocol.is_empty() => (address, protocol),
        Some((address, _)) => (address, "tcp"),
        None => (text, "tcp"),
    };
    if address.is_empty() {
        return Err(format!("invalid port: {text:?}: no port specified"));
    }
    let lower = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&lower.as_str()) {
        return Err(format!("invalid port: {text:?}: invalid proto: {protocol}"));
    }
    let (host, range) = match address.rsplit_once(':') {
        Some((host, range)) => (Some(host), range),
        None => (None, address),
    };
    if range.is_empty() {
        return Err(format!("invalid port: {text:?}: no port specified"));
    }
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => Ok(Exposed {
            ports: (first..=last)
                .map(|port| format!("{port}/{lower}"))
                .collect(),
            has_host: host.is_some(),
            odd_case: lower != protocol,
        }),
        _ => Err(format!("invalid containerPort: {range}")),
    }
}

fn number(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_become_keys() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            // text               keys                                host   case
            ("80",                Ok("80/tcp"),                       false, false),
            ("443/UDP",           Ok("443/udp"),                      false, true),
            ("9/sctp",            Ok("9/sctp"),                       false, false),
            ("80-82",             Ok("80/tcp 81/tcp 82/tcp"),         false, false),
            ("8080:80",           Ok("80/tcp"),                       true,  false),
            ("127.0.0.1:1:2/udp", Ok("2/udp"),                        true,  false),
            ("[::1]:1:2",         Ok("2/tcp"),                        true,  false),
            ("0",                 Ok("0/tcp"),                        false, false),
            ("65535",             Ok("65535/tcp"),                    false, false),
            ("99999",             Err("invalid containerPort: 99999"), false, false),
            ("90-80",             Err("invalid containerPort: 90-80"), false, false),
            ("x",                 Err("invalid containerPort: x"),    false, false),
            ("80/foo",            Err("invalid port: \"80/foo\": invalid proto: foo"), false, false),
            ("/tcp",              Err("invalid port: \"/tcp\": no port specified"), false, false),
        ];
        for (text, want, has_host, odd_case) in cases {
            match (parse(text), want) {
                (Ok(got), Ok(keys)) => assert_eq!(
                    (got.ports.join(" ").as_str(), got.has_host, got.odd_case),
                    (keys, has_host, odd_case),
                    "{text}"
                ),
                (got, want) => assert_eq!(got.err().as_deref(), want.err(), "{text}"),
            }
        }
    }
}
