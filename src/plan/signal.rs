//! Signal names as `STOPSIGNAL` accepts them.

/// Names without `SIG`, those of the real-time signals left out.
const NAMES: &str = "ABRT ALRM BUS CHLD CLD CONT FPE HUP ILL INT IO IOT KILL PIPE POLL PROF PWR QUIT SEGV STKFLT STOP SYS \
    TERM TRAP TSTP TTIN TTOU URG USR1 USR2 VTALRM WINCH XCPU XFSZ";

/// Tells whether `text` is a number other than 0 or the name of a Linux signal (language spec SIG-1).
pub(super) fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = |text: &str, most: u8| {
        !text.starts_with('+') && matches!(text.parse::<u8>(), Ok(n) if (1..=most).contains(&n))
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return rest.is_empty() || rest.strip_prefix('+').is_some_and(|n| offset(n, 15));
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return rest.is_empty() || rest.strip_prefix('-').is_some_and(|n| offset(n, 14));
    }
    NAMES.split_ascii_whitespace().any(|known| known == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names() {
        #[rustfmt::skip] // a table keeps its columns
        let cases = [
            ("9",         true),
            ("0",         false),
            ("SIGTERM",   true),
            ("term",      true),
            ("sigUsr1",   true),
            ("RTMIN",     true),
            ("SIGRTMIN+3", true),
            ("RTMAX-14",  true),
            ("RTMIN+99",  false),
            ("RTMAX+1",   false),
            ("FOO",       false),
            ("SIG",       false),
            ("",          false),
        ];
        for (text, want) in cases {
            assert_eq!(is_signal(text), want, "{text}");
        }
    }
}
