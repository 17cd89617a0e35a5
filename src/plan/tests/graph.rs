//! Language spec 3.1, 3.17 and 6.

use expect_test::expect;

use super::{Base, Case, required_images, testing};

/// The stages of a plan: position in the file, base, consumers, whether files are needed.
fn stages(case: &Case, text: &str) -> String {
    let plan = case.plan(text).unwrap();
    let line = |stage: &super::PlannedStage| {
        let base = match &stage.base {
            Base::Scratch => "scratch".to_owned(),
            Base::Image(image, platform) => format!("{image} {platform}"),
            Base::Stage(position) => format!("stage {position}"),
        };
        let root = if stage.needs_root { " root" } else { "" };
        format!(
            "{} from {base} for {:?}{root}\n",
            stage.index, stage.consumers
        )
    };
    let lines: String = plan.stages.iter().map(line).collect();
    format!("{lines}target {}\n", plan.target)
}

#[test]
fn only_what_the_target_needs() {
    let text = "FROM one AS a
FROM two AS unused
FROM three AS b
ENV X=1
FROM b AS c
RUN --mount=from=a,target=/m x
RUN --mount=type=tmpfs,target=/t,from=unused --mount=TYPE=SSH,from=unused x
FROM c
COPY --from=A f /
COPY --from=0 f /
";
    expect![[r#"
        0 from index.docker.io/library/one:latest linux/amd64 for [2, 3] root
        2 from index.docker.io/library/three:latest linux/amd64 for [2] root
        3 from stage 1 for [3] root
        4 from stage 2 for [] root
        target 3
    "#]]
    .assert_eq(&stages(&Case::new(), text));
    expect![[r#"
        2 from index.docker.io/library/three:latest linux/amd64 for []
        target 0
    "#]]
    .assert_eq(&stages(&Case::new().target("B"), text));
    expect![[r#"
        1 from index.docker.io/library/two:latest linux/amd64 for []
        2 from index.docker.io/library/three:latest linux/amd64 for []
        target 1
    "#]]
    .assert_eq(&stages(&Case::new().target("b").target("unused"), text));
}

#[test]
fn references() {
    #[rustfmt::skip] // a table keeps its columns
    let cases = [
        ("FROM x AS a\nCOPY --from=a f /",                                         "circular dependency detected on stage: a (line 2)"),
        ("FROM x AS a\nCOPY --from=b f /\nFROM x AS b\nCOPY --from=a f /",         "circular dependency detected on stage: a (line 4)"),
        ("FROM x AS a\nCOPY --from=b f /\nFROM x AS b\nFROM a",                    "cannot copy from stage \"b\", it needs to be defined before current stage \"a\" (line 2)"),
        ("FROM x\nCOPY --from=0 f /",                                              "circular dependency detected on stage: stage-0 (line 2)"),
        ("FROM x\nFROM y\nCOPY --from=1 f /",                                      "circular dependency detected on stage: stage-1 (line 3)"),
        ("FROM x\nCOPY --from=5 f /",                                              "invalid stage index 5 (line 2)"),
        ("FROM x\nCOPY --from=-1 f /",                                             "invalid stage index -1 (line 2)"),
        ("FROM x AS A\nFROM A",                                                    "failed to parse stage name \"A\": invalid reference format: repository name (library/A) must be lowercase (line 2)"),
        ("FROM x AS Base\nFROM Base",                                              "failed to parse stage name \"Base\": invalid reference format: repository name (library/Base) must be lowercase (line 2)"),
        ("FROM foo:bar:baz\nFROM x",                                               "failed to parse stage name \"foo:bar:baz\": invalid reference format (line 1)"),
        ("FROM x\nRUN --mount=from=b,target=/x y\nFROM x AS b\nFROM x AS c",       ""),
        ("FROM x AS a\nRUN --mount=from=b,target=/x y\nFROM x AS b\nFROM a",       "cannot mount from stage \"b\" to \"/x\", stage needs to be defined before current command (line 2)"),
        ("FROM x\nCOPY --from=$V f /",                                             "variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround (line 2)"),
        ("FROM x AS a\nCOPY --from=b f /\nFROM x AS b",                            ""),
        ("FROM x AS A\nFROM y\nCOPY --from=A f /",                                 ""),
        ("FROM x AS a\nFROM y\nCOPY --from=00 f /",                                ""),
        ("FROM x AS a\nFROM y AS a\nFROM a",                                       ""),
        ("FROM x\nCOPY --from=alpine f /",                                         ""),
        ("FROM x\nCOPY --from=scratch . /",                                        ""),
        ("FROM x\nCOPY --from= f /",                                               ""),
        ("FROM x\nCOPY --from=Upper f /",                                          "failed to parse stage name \"Upper\": invalid reference format: repository name (library/Upper) must be lowercase (line 2)"),
    ];
    for (text, want) in cases {
        match want {
            "" => drop(Case::new().plan(text).expect(text)),
            want => assert_eq!(Case::new().error(text), want, "{text}"),
        }
    }
}

#[test]
fn targets() {
    let text = "FROM x AS build\nFROM y AS Build\nFROM z";
    assert_eq!(
        Case::new().target("buid").error(text),
        "target stage \"buid\" could not be found (did you mean build?)"
    );
    assert_eq!(
        Case::new().target("0").error(text),
        "target stage \"0\" could not be found"
    );
    let plan = Case::new().target("BUILD").plan(text).unwrap();
    assert_eq!(plan.stages[0].index, 1);
}

#[test]
fn stages_of_one_name() {
    let plan = Case::new()
        .plan("FROM x AS a\nFROM y AS a\nFROM a\n")
        .unwrap();
    let indexes: Vec<_> = plan.stages.iter().map(|stage| stage.index).collect();
    assert_eq!(indexes, [1, 2]);
}

#[test]
fn platforms_of_bases() {
    expect![[r#"
        0 from index.docker.io/library/x:latest linux/arm/v7 for [1]
        1 from stage 0 for []
        target 1
    "#]]
    .assert_eq(&stages(
        &Case::new(),
        "ARG P=linux/arm\nFROM --platform=$P x AS a\nFROM --platform=linux/s390x a",
    ));
}

#[test]
fn triggers_run_first_and_may_need_stages() {
    let text = "FROM tool AS helper\nFROM y AS other\nFROM base\nENV Z=$T\n";
    let case = Case::new().image(
        "base",
        r#"{"OnBuild":["ENV T=1","COPY --from=helper f /"]}"#,
    );
    expect![[r#"
        0 from index.docker.io/library/tool:latest linux/amd64 for [1] root
        2 from index.docker.io/library/base:latest linux/amd64 for [] root
        target 1
    "#]]
    .assert_eq(&stages(&case, text));
    expect![[r#"
        - ENV T=1
        + COPY f / # buildkit
        - ENV Z=1
    "#]]
    .assert_eq(&case.history(text));
    let plan = case.plan(text).unwrap();
    let lines: Vec<_> = plan.stages[1]
        .steps
        .iter()
        .map(|s| s.span.first_line)
        .collect();
    assert_eq!(lines, [3, 3, 4]);
}

#[test]
fn triggers_of_stages_do_not_reach_grandchildren() {
    let text = "FROM x AS a\nONBUILD ENV T=1\nFROM a AS b\nFROM b\nENV Z=$T";
    let history = Case::new().history(text);
    assert_eq!(history, "- ENV Z=1\n");
    let config = Case::new().config(text);
    assert!(!config.contains("OnBuild"), "{config}");
    assert_eq!(Case::new().target("b").history(text), "- ENV T=1\n");
}

#[test]
fn errors_of_triggers_stand_at_from() {
    let case = Case::new().image("base", r#"{"OnBuild":["FOO x"]}"#);
    assert_eq!(case.error("FROM x\nFROM base"), "ONBUILD FOO x (line 2)");
    let case = Case::new().image("base", r#"{"OnBuild":["EXPOSE x"]}"#);
    assert_eq!(
        case.error("FROM x\nFROM base"),
        "invalid containerPort: x (line 2)"
    );
}

#[test]
fn images_are_asked_for_until_all_are_known() {
    let text = "FROM x AS a\nFROM y AS unused\nFROM z AS b\nCOPY --from=other f /\nFROM b\nCOPY --from=a f /";
    let dockerfile = testing::parsed(text);
    let case = Case::new();
    let missing = required_images(&dockerfile, &case.options, &case.configs).unwrap();
    let names: Vec<_> = missing
        .into_iter()
        .map(|(image, _)| image.to_string())
        .collect();
    assert_eq!(
        names,
        [
            "index.docker.io/library/x:latest",
            "index.docker.io/library/z:latest"
        ]
    );
}

#[test]
fn a_plan_reads_as_text() {
    let text = "FROM alpine AS a\nRUN echo \\\n  hi\nFROM a\nCMD [\"x\"]\n";
    expect![[r#"
        FROM index.docker.io/library/alpine:latest AS a
        RUN echo   hi

        FROM a
        CMD ["x"]

    "#]]
    .assert_eq(&Case::new().plan(text).unwrap().to_string());
}
