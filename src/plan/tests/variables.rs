//! Language spec 2.5 to 2.7.

use super::{Case, testing};
use crate::plan::{EpochSource, epoch_source};

/// Value of a variable in the last RUN of the target; `-` if it is unset.
fn value(case: &Case, text: &str, name: &str) -> String {
    let run = case.run(&format!("{text}\nRUN x"));
    run.env.get(name).cloned().unwrap_or_else(|| "-".to_owned())
}

#[test]
fn scopes() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // Dockerfile                                            build arg   name  value
        ("ARG G=1\nFROM scratch",                                "",         "G",  "-"),
        ("ARG G=1\nFROM scratch\nARG G",                         "",         "G",  "1"),
        ("ARG G=1\nFROM scratch\nARG G",                         "G=2",      "G",  "2"),
        ("ARG G=1\nFROM scratch\nARG G=3",                       "",         "G",  "3"),
        ("FROM scratch\nARG G",                                  "",         "G",  "-"),
        ("FROM scratch\nARG G=",                                 "",         "G",  ""),
        ("FROM scratch\nARG G=1",                                "G=",       "G",  ""),
        ("FROM scratch\nENV A=env\nARG A=arg\nENV Z=$A",         "",         "Z",  "arg"),
        ("FROM scratch\nARG A=arg\nENV A=env\nENV Z=$A",         "",         "Z",  "env"),
        ("FROM scratch\nENV A=env\nARG A\nENV Z=$A",             "",         "Z",  "env"),
        ("FROM scratch\nENV A=env\nARG A\nENV Z=$A",             "A=arg",    "Z",  "arg"),
        ("FROM scratch AS a\nARG V=1\nFROM a",                   "",         "V",  "1"),
        ("FROM scratch AS a\nARG V=1\nFROM scratch",             "",         "V",  "-"),
        ("FROM scratch AS a\nENV A=env\nARG A=arg\nFROM a",      "",         "A",  "env"),
        ("FROM scratch\nENV A=1\nENV A=2 B=$A",                  "",         "B",  "1"),
        ("FROM scratch\nARG C=1 D=$C",                           "",         "D",  "1"),
        ("FROM scratch\nARG C=${X:?}",                           "C=1",      "C",  "1"),
        ("ARG A=1\nARG B=x$A\nFROM scratch\nARG B",              "",         "B",  "x1"),
        ("FROM scratch\nENV K=A\nENV $K=v",                      "",         "A",  "v"),
        ("FROM scratch\nARG TARGETARCH",                         "",         "TARGETARCH", "amd64"),
        ("FROM scratch",                                         "",         "TARGETARCH", "-"),
        ("FROM scratch\nARG TARGETVARIANT",                      "",         "TARGETVARIANT", ""),
        ("ARG TARGETOS=x\nFROM scratch\nARG TARGETOS",           "",         "TARGETOS", "x"),
        ("FROM scratch\nARG TARGETOS",                           "TARGETOS=y", "TARGETOS", "y"),
        ("FROM scratch\nARG TARGETSTAGE",                        "",         "TARGETSTAGE", "default"),
        ("FROM scratch AS last\nARG TARGETSTAGE",                "",         "TARGETSTAGE", "last"),
        ("FROM scratch\nARG BUILDKIT_SBOM_SCAN_STAGE=true",      "",         "BUILDKIT_SBOM_SCAN_STAGE", "-"),
        ("FROM scratch\nARG SOURCE_DATE_EPOCH",                  "SOURCE_DATE_EPOCH=7", "SOURCE_DATE_EPOCH", "7"),
        ("FROM scratch",                                         "SOURCE_DATE_EPOCH=7", "SOURCE_DATE_EPOCH", "-"),
    ];
    for (text, build_arg, name, want) in cases {
        let case = match build_arg.split_once('=') {
            Some((name, value)) => Case::new().build_arg(name, value),
            None => Case::new(),
        };
        assert_eq!(value(&case, text, name), want, "{text:?} {build_arg}");
    }
}

#[test]
fn arg_after_env_leaves_the_config() {
    let config = Case::new().config("FROM scratch\nENV A=env\nARG A=arg\nENV Z=$A");
    assert!(config.contains(r#""A=env","Z=arg""#), "{config}");
}

#[test]
fn env_of_the_base_is_there_from_the_start() {
    let case = Case::new().image("x", r#"{"Env":["B=base","PATH=/b"]}"#);
    assert_eq!(value(&case, "FROM x\nENV C=$B", "C"), "base");
    assert_eq!(value(&case, "FROM x", "PATH"), "/b");
}

#[test]
fn from_sees_global_args_only() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("ARG I=alpine\nARG T=3\nFROM $I:${T}",  Ok("index.docker.io/library/alpine:3")),
        ("FROM x$TARGETARCH",                    Ok("index.docker.io/library/xamd64:latest")),
        ("FROM x\nARG I=y\nFROM $I",             Err("base name ($I) should not be blank (line 3)")),
        ("ARG P\nFROM --platform=$P x",          Err("empty platform value from expression $P (line 2)")),
        ("FROM --platform=linux/ x",             Err("failed to parse platform linux/ (line 1)")),
        ("FROM ${X:?none}",                  Err("failed to process \"${X:?none}\": X: none (line 1)")),
        ("ARG A=${X:?}\nFROM x",                 Err("failed to process \"${X:?}\": X: is not allowed to be unset (line 1)")),
    ];
    for (text, want) in cases {
        match want {
            Ok(image) => {
                let plan = Case::new().plan(text).unwrap();
                let super::Base::Image(base, _) = &plan.stages[0].base else {
                    panic!("{text}");
                };
                assert_eq!(base.to_string(), image, "{text}");
            }
            Err(error) => assert_eq!(Case::new().error(text), error, "{text}"),
        }
    }
}

#[test]
fn proxies_go_to_every_run_and_nowhere_else() {
    let case = Case::new()
        .build_arg("Http_Proxy", "http://p")
        .build_arg("NO_PROXY", "upper")
        .build_arg("no_proxy", "lower")
        .build_arg("ftp_proxy", "");
    let text = "FROM scratch\nENV Z=$no_proxy\nRUN x";
    let run = case.run(text);
    let proxies: Vec<_> = run
        .proxy_env
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(
        proxies,
        [
            "HTTP_PROXY=http://p",
            "NO_PROXY=lower",
            "http_proxy=http://p",
            "no_proxy=lower"
        ]
    );
    assert_eq!(run.env["Z"], "");
    assert!(!case.history(text).contains("proxy"));
}

#[test]
fn unused_build_args_are_named() {
    let case = Case::new()
        .build_arg("USED", "1")
        .build_arg("UNUSED", "1")
        .build_arg("https_proxy", "1")
        .build_arg("TARGETOS", "linux")
        .build_arg("BUILDKIT_INLINE_CACHE", "1")
        .build_arg("ELSEWHERE", "1");
    let plan = case
        .plan("FROM scratch AS a\nARG ELSEWHERE\nFROM scratch\nARG USED")
        .unwrap();
    assert_eq!(plan.unused_build_args, ["UNUSED"]);
}

#[test]
fn source_date_epoch() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // Dockerfile                                build arg     environment  epoch
        ("FROM scratch",                             None,         None,        Ok(None)),
        ("FROM scratch",                             Some("5"),    None,        Ok(Some(5))),
        ("FROM scratch",                             None,         Some(6),     Ok(Some(6))),
        ("FROM scratch",                             Some("5"),    Some(6),     Ok(Some(5))),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM scratch",    None,         Some(6),     Ok(Some(7))),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM scratch",    Some("5"),    None,        Ok(Some(5))),
        ("ARG SOURCE_DATE_EPOCH\nFROM scratch",      None,         Some(6),     Ok(Some(6))),
        ("FROM scratch",                             Some(""),     Some(6),     Ok(None)),
        ("FROM scratch",                             Some("context"), None,     Ok(Some(99))),
        ("FROM scratch\nARG SOURCE_DATE_EPOCH=8",    None,         None,        Ok(None)),
        ("FROM scratch",                             Some("x"),    None,        Err("invalid SOURCE_DATE_EPOCH: x")),
        ("FROM scratch",                             Some("-62167219200"), None,  Ok(Some(-62_167_219_200))),
        ("FROM scratch",                             Some("-62167219201"), None,  Err("invalid SOURCE_DATE_EPOCH: -62167219201")),
        ("ARG SOURCE_DATE_EPOCH=253402300800\nFROM scratch", None, None,          Err("invalid SOURCE_DATE_EPOCH: 253402300800 (line 1)")),
        ("ARG SOURCE_DATE_EPOCH=x\nFROM scratch",    None,         None,        Err("invalid SOURCE_DATE_EPOCH: x (line 1)")),
        ("FROM scratch AS S\nADD http://h/f /\nFROM s", Some("s"), None,       Ok(Some(77))),
        ("FROM scratch AS s\nADD http://h/f /\nFROM s", Some("S"), None,       Ok(Some(77))),
        ("ARG SOURCE_DATE_EPOCH=s\nFROM scratch AS s\nARG A\nADD https://h/$A.git /\nFROM scratch", None, None, Ok(Some(77))),
        ("FROM scratch AS s",                        Some("s"),    None,        Err(NO_TIME)),
        ("FROM scratch AS s\nADD http://h/f /\nUSER u", Some("s"), None,       Err(NO_TIME)),
    ];
    for (text, build_arg, environment, want) in cases {
        let mut case = Case::new();
        case.options.source_date_epoch = environment;
        case.options.context_time = Some(99);
        case.options.epoch_time = Some(77);
        if let Some(value) = build_arg {
            case = case.build_arg("SOURCE_DATE_EPOCH", value);
        }
        match want {
            Ok(epoch) => assert_eq!(
                case.plan(text).unwrap().source_date_epoch,
                epoch,
                "{text:?} {build_arg:?}"
            ),
            Err(error) => assert_eq!(case.error(text), error),
        }
    }
}

#[test]
fn a_commit_of_no_time_that_can_be_written_counts_as_the_nearest() {
    let mut case = Case::new().build_arg("SOURCE_DATE_EPOCH", "context");
    for (time, want) in [(i64::MIN, -62_167_219_200), (i64::MAX, 253_402_300_799)] {
        case.options.context_time = Some(time);
        let plan = case.plan("FROM scratch\nARG SOURCE_DATE_EPOCH\nENV E=$SOURCE_DATE_EPOCH");
        let plan = plan.unwrap();
        assert_eq!(plan.source_date_epoch, Some(want));
        let env = &plan.stages[0].config.config.env;
        assert!(env.contains(&format!("E={want}")), "{env:?}");
    }
}

const NO_TIME: &str = "invalid SOURCE_DATE_EPOCH: the stage \"s\" is not `FROM scratch` with nothing but ARG and the ADD of one remote source";

#[test]
fn what_knows_the_source_date_epoch() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("FROM scratch",                                                        Ok(None)),
        ("ARG SOURCE_DATE_EPOCH=7\nFROM scratch",                               Ok(None)),
        ("ARG SOURCE_DATE_EPOCH=c\nFROM scratch",                               Ok(Some("context 0"))),
        ("ARG SOURCE_DATE_EPOCH=s\nFROM scratch AS s\nARG V=1\nADD http://h/$V /\nFROM x", Ok(Some("ADD http://h/1 / # buildkit"))),
        ("ARG SOURCE_DATE_EPOCH=s\nFROM scratch AS s\nADD f /\nFROM scratch",   Err(format!("{NO_TIME} (line 2)"))),
        ("ARG SOURCE_DATE_EPOCH=s\nFROM scratch AS s\nADD http://h/a http://h/b /\nFROM scratch", Err(format!("{NO_TIME} (line 2)"))),
    ];
    for (text, want) in cases {
        let mut case = Case::new();
        case.options.contexts = vec!["c=/dir".parse().unwrap()];
        let dockerfile = testing::parsed(text);
        let found = match epoch_source(&dockerfile, &case.options) {
            Ok(None) => Ok(None),
            Ok(Some(EpochSource::Context(index))) => Ok(Some(format!("context {index}"))),
            Ok(Some(EpochSource::Stage(stage))) => {
                Ok(stage.steps.last().unwrap().created_by.clone())
            }
            Err(error) => Err(format!("{error} (line {})", error.span.unwrap().first_line)),
        };
        assert_eq!(found, want.map(|found| found.map(str::to_owned)), "{text}");
    }
}

#[test]
fn undefined_variables_are_found() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("FROM scratch\nENV FOOBAR=1\nENV A=$FOBAR",     "UndefinedVar: nothing defines `FOBAR` here (did you mean FOOBAR?) (line 3)\n"),
        ("FROM scratch\nARG V\nENV A=$V",                ""),
        ("FROM scratch\nENV A=${V:-1}",                  ""),
        ("FROM scratch\nCOPY <<E /a\n$V\nE",             "UndefinedVar: nothing defines `V` here (line 2)\n"),
        ("# check=skip=UndefinedVar\nFROM scratch\nENV A=$V", ""),
        ("FROM scratch AS a\nENV A=$V\nFROM scratch",    ""),
        ("FROM scratch\nWORKDIR x",                      "WorkdirRelativePath: `x` depends on the working directory of the base image (line 2)\n"),
        ("FROM scratch\nWORKDIR /x\nWORKDIR y",          ""),
        ("FROM scratch AS a\nWORKDIR /x\nFROM a\nWORKDIR y", ""),
        ("FROM scratch\nEXPOSE 80/TCP 1:2",              "ExposeInvalidFormat: `1:2`: only the port counts, not where it is published (line 2)\n\
                                                          ExposeProtoCasing: `80/TCP`: write the protocol in lower case (line 2)\n"),
    ];
    for (text, want) in cases {
        assert_eq!(Case::new().findings(text), want, "{text:?}");
    }
    let case = Case::new().image("x", r#"{"Shell":["/bin/bash","-c"]}"#);
    assert_eq!(case.findings("FROM x\nCMD a"), "");
}

#[test]
fn bases_without_build_args() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // Dockerfile                                 build arg          platform        is found
        ("ARG V\nFROM x:$V",                          "V=1",             "linux/amd64",  "\"x:$V\""),
        ("ARG V=\nFROM $V",                           "V=x",             "linux/amd64",  "\"$V\""),
        ("ARG V=1\nFROM x:$V",                        "",                "linux/amd64",  ""),
        ("ARG V=1\nARG W=\"$V.2\"\nFROM x:$W",        "",                "linux/amd64",  ""),
        ("FROM x:${V:-1}",                            "",                "linux/amd64",  ""),
        ("ARG V=1\nARG W=$V\nFROM x:$W",              "V=2",             "linux/amd64",  ""),
        ("ARG V=${U:?}\nARG U\nFROM x:$V",            "V=1",             "linux/amd64",  ""),
        ("FROM scratch AS unused\nARG V\nFROM x",     "V=1",             "linux/amd64",  ""),
        ("ARG V\nFROM x:$V AS unused\nFROM y",        "V=1",             "linux/amd64",  "\"x:$V\""),
        ("# check=skip=InvalidDefaultArgInFrom\nARG V\nFROM x:$V", "V=1", "linux/amd64",  ""),
        // the automatic args are those of this build
        ("FROM x:$TARGETARCH",                        "",                "linux/amd64",  ""),
        ("FROM x:v$TARGETVARIANT",                    "",                "linux/amd64",  ""),
        ("FROM x:$TARGETVARIANT",                     "",                "linux/arm/v7", ""),
        ("FROM x:$TARGETVARIANT",                     "TARGETVARIANT=1", "linux/amd64",  "\"x:$TARGETVARIANT\""),
        ("FROM x:$TARGETSTAGE",                       "",                "linux/amd64",  ""),
    ];
    for (text, build_arg, platform, image) in cases {
        let mut case = Case::new().platform(platform);
        if let Some((name, value)) = build_arg.split_once('=') {
            case = case.build_arg(name, value);
        }
        let found = case.findings(text);
        let rule = "InvalidDefaultArgInFrom: with the defaults of its ARGs, ";
        match image {
            "" => assert!(!found.contains(rule), "{text:?} {platform}: {found}"),
            image => assert!(
                found.contains(&format!("{rule}{image}")),
                "{text:?} {platform}: {found}"
            ),
        }
    }
}
