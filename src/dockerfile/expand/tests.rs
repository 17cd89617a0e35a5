//! Every row of the language specification's tables 2.1 and 2.2.

use super::*;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "V" => "value",
        "E" => "",
        "W" => "foobarbaz",
        "P" => "/a/b/a.tar.gz",
        "Q" => "a*b?c",
        "S" => "one  two",
        "D" => "<$1$0$$>",
        "ü" => "umlaut",
        _ => return None,
    };
    Some(value.to_owned())
}

fn result(word: &str, escape: char) -> String {
    match expand(word, escape, &lookup) {
        Ok(expanded) => expanded.text,
        Err(error) => format!("error {}", error.problem),
    }
}

#[test]
fn words() {
    const OPEN: &str = "error unexpected end of statement while looking for matching";
    #[rustfmt::skip]
    let cases = [
        ("$V",              "value"),
        ("${V}",            "value"),
        ("x$V.y",           "xvalue.y"),
        ("$V_x",            ""),
        ("${V}_x",          "value_x"),
        (r"\$V",            "$V"),
        (r"\\$V",           r"\value"),
        ("'$V'",            "$V"),
        ("\"$V\"",          "value"),
        (r#""a\b\"\$V\\""#, r#"a\b"$V\"#),
        (r"'a\b'",          r"a\b"),
        ("\"it's\"",        "it's"),
        (r#"a"b"'c'd"#,     "abcd"),
        ("$",               "$"),
        ("a$ b",            "a$ b"),
        ("$$V",             "V"),
        ("$1x",             "x"),
        ("$12x",            "x"),
        ("$@$*$#$?$-$!$0.", "."),
        ("$(id)",           "$(id)"),
        ("`id`",            "`id`"),
        ("~/x",             "~/x"),
        (r"abc\",           "abc"),
        (r"a\ b\c",         "a bc"),
        ("$ü.",             "umlaut."),
        ("$.",              "$."),
        ("",                ""),
        ("\"\"''",          ""),
    ];
    for (word, want) in cases {
        assert_eq!(result(word, '\\'), want, "{word}");
    }
    for (word, quote) in [
        ("\"abc", "double-quote"),
        ("a'b", "single-quote"),
        ("\"a'", "double-quote"),
    ] {
        assert_eq!(result(word, '\\'), format!("{OPEN} {quote}"), "{word}");
    }
}

#[test]
fn backtick_escape() {
    #[rustfmt::skip]
    let cases = [
        ("`$V",         "$V"),
        (r"C:\$V",      r"C:\value"),
        ("\"`$V`a\\\"", "$V`a\\"),
        ("``",          "`"),
    ];
    for (word, want) in cases {
        assert_eq!(result(word, '`'), want, "{word}");
    }
}

#[test]
fn modifiers() {
    #[rustfmt::skip]
    let cases = [
        ("${V:-d}",        "value"),
        ("${E:-d}",        "d"),
        ("${U:-d}",        "d"),
        ("${V-d}",         "value"),
        ("${E-d}",         ""),
        ("${U-d}",         "d"),
        ("${V:+x}",        "x"),
        ("${E:+x}",        ""),
        ("${U:+x}",        ""),
        ("${V+x}",         "x"),
        ("${E+x}",         "x"),
        ("${U+x}",         ""),
        ("${V:?no}",       "value"),
        ("${E:?no value}", "error E: no value"),
        ("${U:?no value}", "error U: no value"),
        ("${E?no}",        ""),
        ("${U?no}",        "error U: no"),
        ("${U:?}",         "error U: is not allowed to be unset"),
        ("${U?}",          "error U: is not allowed to be unset"),
        ("${E:?}",         "error E: is not allowed to be empty"),
        ("${U:-${V}}",     "value"),
        ("${U:-a${U:-b}c}d", "abcd"),
        ("${U:-\"a b\"}",  "a b"),
        (r"${U:-a\}b}",    "a}b"),
        ("\"${U:-'$V'}\"", "$V"),
        ("${W#f*b}",       "arbaz"),
        ("${W##f*b}",      "az"),
        ("${W%b*}",        "foobar"),
        ("${W%%b*}",       "foo"),
        ("${W#fo?}",       "barbaz"),
        ("${W#[f]oo}",     "foobarbaz"),
        ("${P##*/}",       "a.tar.gz"),
        ("${P%/*}",        "/a/b"),
        ("${W/ba/X}",      "fooXrbaz"),
        ("${W//ba/X}",     "fooXrXz"),
        ("${W//ba/}",      "foorz"),
        ("${W//b?/X}",     "fooXrXz"),
        // MOD-5: of groups there is the whole match only
        ("${W//ba/$D}",    "foo<ba$>r<ba$>z"),
        ("${W/ba/$D}",     "foo<$1$0$$>rbaz"),
        (r"${P//\//_}",    "_a_b_a.tar.gz"),
        (r"${Q/\*/-}",     "a-b?c"),
        (r"${Q/\?/-}",     "a*b-c"),
        ("${W/o/$V}",      "fvalueobarbaz"),
        ("${W/#foo/X}",    "foobarbaz"),
        ("${W/o*a/-}",     "f-z"),
        ("${U/a/b}",       ""),
        ("${W#$U}",        "foobarbaz"),
        (r"${W/o/b\/c}",   r"fb\/cobarbaz"),
    ];
    for (word, want) in cases {
        assert_eq!(result(word, '\\'), want, "{word}");
    }
}

#[test]
fn malformed() {
    #[rustfmt::skip]
    let cases = [
        ("${V:=d}",   "unsupported modifier (:=) in substitution"),
        ("${V=d}",    "unsupported modifier (=) in substitution"),
        ("${V^}",     "unsupported modifier (^) in substitution"),
        ("${V,,}",    "unsupported modifier (,) in substitution"),
        ("${V@Q}",    "unsupported modifier (@) in substitution"),
        ("${V:0:2}",  "unsupported modifier (:0) in substitution"),
        ("${V:#a}",   "unsupported modifier (:#) in substitution"),
        ("${#V}",     "unsupported modifier (V) in substitution"),
        ("${!V}",     "unsupported modifier (V) in substitution"),
        ("${V",       "unsupported modifier () in substitution"),
        ("${V:",      "unsupported modifier (:) in substitution"),
        ("${}",       "syntax error: bad substitution"),
        ("${:x}",     "syntax error: bad substitution"),
        ("${{x}",     "syntax error: bad substitution"),
        ("${",        "syntax error: missing '}'"),
        ("${V-abc",   "syntax error: missing '}'"),
        ("${V-'abc}", "syntax error: missing '}'"),
        ("${W/ba}",   "syntax error: missing '/' in ${}"),
        ("${W/ba/x",  "syntax error: missing '}'"),
        (r"${W#\a}",  r#"invalid pattern "\\a": only `*`, `?`, `\`, `}` and `/` can be escaped"#),
    ];
    for (word, want) in cases {
        let error = expand(word, '\\', &lookup).unwrap_err();
        assert_eq!(error.problem.to_string(), want, "{word}");
    }
    assert_eq!(
        expand("${U:?}", '\\', &lookup).unwrap_err().to_string(),
        r#"failed to process "${U:?}": U: is not allowed to be unset"#
    );
}

#[test]
fn deep_nesting_is_refused() {
    let deep = format!("{}x{}", "${U:-".repeat(100_000), "}".repeat(100_000));
    let error = expand(&deep, '\\', &lookup).unwrap_err();
    assert_eq!(error.problem, Problem::TooDeep);
    let fine = format!("{}x{}", "${U:-".repeat(50), "}".repeat(50));
    assert_eq!(result(&fine, '\\'), "x");
}

#[test]
fn names() {
    #[rustfmt::skip]
    let cases: [(&str, &[&str], &[&str]); 8] = [
        ("$V$U$V",        &["V", "U"],  &["U"]),
        ("${U:-x}",       &["U"],       &[]),
        ("${U:-$X}",      &["X", "U"],  &["X"]),
        ("${U+x}",        &["U"],       &[]),
        ("${U#x}",        &["U"],       &["U"]),
        ("${U/x/$Y}",     &["Y", "U"],  &["Y", "U"]),
        ("'$U'\\$U",      &[],          &[]),
        ("\"$E\"",        &["E"],       &[]),
    ];
    for (word, used, undefined) in cases {
        let got = expand(word, '\\', &lookup).unwrap();
        assert_eq!(got.used, used, "{word}");
        assert_eq!(got.undefined, undefined, "{word}");
    }
}

#[test]
fn splitting() {
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 7] = [
        ("$S",          &["one", "two"]),
        ("a$S.b",       &["aone", "two.b"]),
        ("\"$S\"",      &["one  two"]),
        ("a b\\ c",     &["a", "b c"]),
        ("",            &[]),
        ("''",          &[""]),
        ("$U",          &[]),
    ];
    for (word, want) in cases {
        assert_eq!(expand(word, '\\', &lookup).unwrap().words, want, "{word}");
    }
}

#[test]
fn heredocs() {
    #[rustfmt::skip]
    let cases = [
        ("v=$V \\$V \"q\" 'q'\n",   "v=value $V \"q\" 'q'\n"),
        ("'$V'\n",                  "'value'\n"),
        ("\\\\ \\a \\\nx\n",        "\\ a \nx\n"),
        ("${U:-'d'}\n",             "'d'\n"),
        ("it's $U.\n",              "it's .\n"),
    ];
    for (body, want) in cases {
        assert_eq!(expand_heredoc(body, &lookup).unwrap().text, want, "{body}");
    }
}
