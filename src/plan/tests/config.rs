//! Language spec 3.12 to 3.15 and 5.

use expect_test::expect;

use super::{Action, Case};

#[test]
fn history_texts() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        // instruction                                        history
        ("ARG A=1 B",                                         "- ARG A=1 B"),
        ("ENV A=1 B=\"x y\"",                                 "- ENV A=1 B=x y"),
        ("LABEL \"a b\"=c",                                   "- LABEL a b=c"),
        ("RUN echo x",                                        "+ RUN /bin/sh -c echo x # buildkit"),
        ("RUN [\"/bin/x\",\"a b\"]",                          "+ RUN /bin/x a b # buildkit"),
        ("RUN --mount=type=cache,target=/c echo x",           "+ RUN /bin/sh -c echo x # buildkit"),
        ("RUN",                                               "+ RUN /bin/sh -c  # buildkit"),
        ("COPY --link --chown=1:2 --chmod=640 a b ./d/",      "+ COPY --chown=1:2 --chmod=640 a b ./d/ # buildkit"),
        ("COPY --chmod=0640 a b",                             "+ COPY --chmod=0640 a b # buildkit"),
        ("COPY --from=x --parents --exclude=*.md a b",        "+ COPY --parents a b # buildkit"),
        ("COPY <<f.txt /e/\nx\nf.txt",                        "+ COPY <<f.txt /e/ # buildkit"),
        ("ADD --unpack=false x.tar /y",                       "+ ADD x.tar /y # buildkit"),
        ("ADD http://h/a.tgz a <<f /y/\nf",                   "+ ADD http://h/a.tgz a <<f /y/ # buildkit"),
        ("WORKDIR /srv",                                      "+ WORKDIR /srv"),
        ("WORKDIR /srv/",                                     "+ WORKDIR /srv/"),
        ("WORKDIR /",                                         "- WORKDIR /"),
        ("WORKDIR a/../..",                                   "- WORKDIR /"),
        ("USER 1:1",                                          "- USER 1:1"),
        ("EXPOSE 80 443/UDP",                                 "- EXPOSE [443/udp 80/tcp]"),
        ("EXPOSE 80-82 81",                                   "- EXPOSE [80/tcp 81/tcp 82/tcp 81/tcp]"),
        ("VOLUME /b /a",                                      "- VOLUME [/b /a]"),
        ("STOPSIGNAL SIGTERM",                                "- STOPSIGNAL SIGTERM"),
        ("SHELL [\"/bin/bash\",\"-c\"]",                      "- SHELL [/bin/bash -c]"),
        ("CMD echo \"hi\"",                                   "- CMD [\"/bin/sh\" \"-c\" \"echo \\\"hi\\\"\"]"),
        ("ENTRYPOINT [\"b\"]",                                "- ENTRYPOINT [\"b\"]"),
        ("CMD []",                                            "- CMD []"),
        ("HEALTHCHECK --interval=5s CMD x",                   "- HEALTHCHECK {Test:[CMD-SHELL x] Interval:5s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}"),
        ("HEALTHCHECK NONE",                                  "- HEALTHCHECK {Test:[NONE] Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s Retries:0}"),
        ("MAINTAINER Bob",                                    "- MAINTAINER Bob"),
        ("ONBUILD RUN x",                                     "- no entry"),
        ("RUN <<EOF\necho hi\nEOF",                           "+ RUN /bin/sh -c echo hi\n # buildkit"),
        ("RUN <<EOF\n#!/usr/bin/env awk -f\nEOF",             "+ RUN /bin/sh -c /dev/pipes/EOF # buildkit"),
        ("RUN python3 - <<EOF\nprint(1)\nEOF",                "+ RUN /bin/sh -c python3 - <<EOF\nprint(1)\nEOF # buildkit"),
    ];
    for (instruction, want) in cases {
        let history = Case::new().history(&format!("FROM scratch\n{instruction}"));
        assert_eq!(history, format!("{want}\n"), "{instruction}");
    }
}

#[test]
fn the_worked_example() {
    let text = "FROM scratch
ARG VER=1 OPT
ENV A=1 B=\"x y\"
WORKDIR /srv
RUN echo $VER
CMD echo \"hi there\"
ENTRYPOINT [\"/bin/sh\", \"-c\"]
";
    expect![[r#"
        - ARG VER=1 OPT
        - ENV A=1 B=x y
        + WORKDIR /srv
        + RUN |2 VER=1 OPT= /bin/sh -c echo $VER # buildkit
        - CMD ["/bin/sh" "-c" "echo \"hi there\""]
        - ENTRYPOINT ["/bin/sh" "-c"]
    "#]]
    .assert_eq(&Case::new().history(text));
    expect![[r#"{"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=1","B=x y"],"Entrypoint":["/bin/sh","-c"],"Cmd":["/bin/sh","-c","echo \"hi there\""],"WorkingDir":"/srv","ArgsEscaped":true}"#]]
    .assert_eq(&Case::new().config(text));
}

#[test]
fn build_args_in_history_keep_their_first_place_and_last_value() {
    let text = "FROM scratch AS a
ARG A=1 B
FROM a
ARG C=3 A=2
ENV B=env
RUN x";
    let history = Case::new().history(text);
    assert!(
        history.ends_with("+ RUN |3 A=2 B=env C=3 /bin/sh -c x # buildkit\n"),
        "{history}"
    );
}

#[test]
fn working_directories() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("scratch", "/a b",                "/a/b"),
        ("scratch", "/a b ../c",           "/a/c"),
        ("srv",     "b",                   "/srv/b"),
        ("scratch", "b",                   "/b"),
        ("scratch", "/a ../../..",         "/"),
        ("scratch", "/path /path/$NOPE",   "/path/"),
        ("scratch", "/x/ d $NOPE",         "/x/d"),
    ];
    for (base, sequence, want) in cases {
        let lines: String = sequence
            .split(' ')
            .map(|path| format!("WORKDIR {path}\n"))
            .collect();
        let case = Case::new().image("srv", r#"{"WorkingDir":"/srv"}"#);
        let plan = case.plan(&format!("FROM {base}\n{lines}")).unwrap();
        assert_eq!(plan.stages[0].config.config.working_dir, want, "{sequence}");
    }
    let plan = Case::new()
        .plan("FROM scratch\nUSER bob\nWORKDIR /x/\n")
        .unwrap();
    let Action::Workdir(step) = &plan.stages[0].steps[1].action else {
        panic!("no directory");
    };
    assert_eq!((step.path.as_str(), step.user.as_str()), ("/x", "bob"));
}

#[test]
fn entrypoint_and_cmd() {
    let case = Case::new().image("base", r#"{"Entrypoint":["e"],"Cmd":["c"]}"#);
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("FROM scratch\nCMD [\"a\"]\nENTRYPOINT [\"b\"]",                      "b",  "a"),
        ("FROM scratch\nENTRYPOINT [\"b\"]\nCMD [\"a\"]\nENTRYPOINT [\"c\"]",  "c",  "a"),
        ("FROM base\nENTRYPOINT [\"b\"]",                                      "b",  "-"),
        ("FROM base\nCMD [\"x\"]",                                             "e",  "x"),
        ("FROM base\nENTRYPOINT []",                                           "-",  "-"),
        ("FROM base AS s\nFROM s\nENTRYPOINT [\"b\"]",                         "b",  "-"),
        ("FROM scratch\nSHELL [\"/bin/bash\",\"-c\"]\nCMD x y",                "-",  "/bin/bash -c x y"),
        ("FROM scratch\nCMD",                                                  "-",  "/bin/sh -c "),
        ("FROM scratch\nCMD []",                                               "-",  "-"),
    ];
    for (text, entrypoint, cmd) in cases {
        let plan = case.plan(text).unwrap();
        let config = &plan.stages[plan.target].config.config;
        let join =
            |words: &Option<Vec<String>>| words.as_ref().map_or("-".to_owned(), |w| w.join(" "));
        assert_eq!(
            (
                join(&config.entrypoint).as_str(),
                join(&config.cmd).as_str()
            ),
            (entrypoint, cmd),
            "{text}"
        );
    }
}

#[test]
fn config_fields() {
    let text = "FROM scratch
ENV A=1 P=\"80 81/udp\"
ENV A=2
LABEL a=1 b='x y'
LABEL a=2
USER a:b
EXPOSE $P 9
VOLUME [\"/v w\"]
STOPSIGNAL rtmin+3
HEALTHCHECK --interval=1m30s --retries=2 CMD [\"x\", \"y\"]
ONBUILD RUN echo $A
MAINTAINER Bob
";
    expect![[r#"{"User":"a:b","ExposedPorts":{"80/tcp":{},"81/udp":{},"9/tcp":{}},"Env":["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","A=2","P=80 81/udp"],"Volumes":{"/v w":{}},"WorkingDir":"/","Labels":{"a":"2","b":"x y"},"StopSignal":"rtmin+3","Healthcheck":{"Test":["CMD","x","y"],"Interval":90000000000,"Retries":2},"OnBuild":["RUN echo $A"]}"#]]
    .assert_eq(&Case::new().config(text));
    let history = Case::new().history(text);
    assert!(
        history.contains("EXPOSE [80/tcp 81/udp 9/tcp]"),
        "{history}"
    );
    let plan = Case::new().plan(text).unwrap();
    assert_eq!(plan.stages[0].config.author, "Bob");
}

#[test]
fn what_an_image_leaves() {
    let case = Case::new().image(
        "x",
        r#"{"User":"u","Env":["A=1"],"Labels":{"l":"1"},"ArgsEscaped":true,"OnBuild":["ENV T=1"]}"#,
    );
    expect![[r#"{"User":"u","Env":["A=1","PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin","T=1"],"WorkingDir":"/","Labels":{"l":"1"},"ArgsEscaped":true}"#]]
    .assert_eq(&case.config("FROM x"));
    let mut other = Case::new().image("x", "{}");
    let platform: super::Platform = "linux/arm64".parse().unwrap();
    let (key, config) = other.configs.pop_first().unwrap();
    other.configs.insert((key.0, platform.clone()), config);
    other.options.platforms.target = platform.clone();
    assert_eq!(
        other.plan("FROM x").unwrap().stages[0]
            .config
            .platform
            .architecture,
        "amd64"
    );
    assert_eq!(
        other.findings("FROM x"),
        "InvalidBaseImagePlatform: `index.docker.io/library/x:latest` is for linux/amd64, not linux/arm64 (line 1)\n"
    );
    other.options.platform_is_explicit = true;
    assert_eq!(
        other.plan("FROM x").unwrap().stages[0].config.platform,
        platform
    );
}

#[test]
fn run_arguments() {
    let text = "FROM scratch\nSHELL [\"/bin/bash\",\"-e\",\"-c\"]\nUSER bob\nWORKDIR /w/\nRUN <<EOF\nx\nEOF";
    let run = Case::new()
        .build_arg("BUILDKIT_SANDBOX_HOSTNAME", "h")
        .run(text);
    assert_eq!(run.args, ["/bin/bash", "-e", "-c", "x\n"]);
    assert_eq!(
        (
            run.user.as_str(),
            run.working_dir.as_str(),
            run.hostname.as_str()
        ),
        ("bob", "/w", "h")
    );
    let run = Case::new().run("FROM scratch\nRUN <<EOF\n#!/bin/awk\nEOF");
    assert_eq!(run.script.unwrap().body, b"#!/bin/awk\n");
    let run = Case::new().run("FROM scratch\nRUN cat <<A <<B\n1\nA\n2\nB");
    assert_eq!(run.args[2], "cat <<A <<B\n1\nA\n2\nB");
    let run = Case::new().run("FROM scratch\nRUN <<-E\n\tx\n\tE");
    assert_eq!(run.args[2], "x\n");
}

#[test]
fn errors() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("EXPOSE 99999",         "invalid containerPort: 99999 (line 2)"),
        ("EXPOSE 80/foo",        "invalid port: \"80/foo\": invalid proto: foo (line 2)"),
        ("STOPSIGNAL FOO",       "invalid signal: FOO (line 2)"),
        ("VOLUME $X",            "VOLUME specified can not be an empty string (line 2)"),
        ("RUN []",               "RUN requires arguments (line 2)"),
        ("ENV A=${X?no}",        "failed to process \"${X?no}\": X: no (line 2)"),
    ];
    for (instruction, want) in cases {
        assert_eq!(
            Case::new().error(&format!("FROM scratch\n{instruction}")),
            want
        );
        // Only stages that are needed are evaluated (STG-3).
        let elsewhere = format!("FROM scratch AS unused\n{instruction}\nFROM scratch");
        assert!(Case::new().plan(&elsewhere).is_ok(), "{instruction}");
    }
}
