//! Language spec 6, named contexts.

use super::{Base, Case, Source};
use crate::plan::Action;

/// What the target is based on, and where its copies take files from.
fn sources(case: &Case, text: &str) -> String {
    let plan = case.plan(text).unwrap();
    let stage = &plan.stages[plan.target];
    let mut words = vec![match &stage.base {
        Base::Scratch => "scratch".to_owned(),
        Base::Image(image, platform) => format!("{image} {platform}"),
        Base::Stage(position) => format!("stage {position}"),
    }];
    for step in &stage.steps {
        let source = step.sources().into_iter().next();
        words.push(match (&step.action, source) {
            (Action::Config, _) | (_, None) => "-".to_owned(),
            (_, Some(Source::Named(index))) => format!("context {index}"),
            (_, Some(Source::Stage(position))) => format!("stage {position}"),
            (_, Some(Source::Image(image, _))) => image.to_string(),
            (_, Some(Source::Context)) => "main".to_owned(),
            (_, Some(Source::Scratch)) => "scratch".to_owned(),
        });
    }
    words.join(", ")
}

#[test]
fn contexts_take_the_place_of_names() {
    let all = |given: &[&str]| {
        given
            .iter()
            .fold(Case::new(), |case, text| case.context(text))
    };
    #[rustfmt::skip] // a table keeps its columns
    let cases: [(&[&str], &str, &str); 14] = [
        (&["a=dir"],                      "FROM a\nENV A=1",                              "scratch, context 0, -"),
        (&["alpine=dir"],                 "FROM docker.io/library/alpine:latest",         "scratch, context 0"),
        (&["alpine=dir"],                 "FROM alpine:3",                                "index.docker.io/library/alpine:3 linux/amd64"),
        (&["a=docker-image://busybox:1"], "FROM a",                                       "index.docker.io/library/busybox:1 linux/amd64"),
        (&["a=docker-image://scratch"],   "FROM a\nENV A=1",                              "scratch, -"),
        (&["a=oci-layout://l:v"],         "FROM a\nCOPY --from=a x /",                    "oci-layout://l:v linux/amd64, oci-layout://l:v"),
        (&["a=dir"],                      "FROM x\nCOPY --from=A:latest f /",             "index.docker.io/library/x:latest linux/amd64, context 0"),
        (&["a=dir"],                      "FROM x\nRUN --mount=from=a,target=/m y",       "index.docker.io/library/x:latest linux/amd64, context 0"),
        // a stage of that name: nothing of it counts
        (&["s=dir"],                      "FROM Not:a:name AS S\nCOPY --from=9 x /\nFROM x\nCOPY --from=s f /", "index.docker.io/library/x:latest linux/amd64, stage 0"),
        (&["s=dir"],                      "FROM x AS s\nRUN x\nENTRYPOINT [\"x\"]",       "scratch, context 0"),
        (&["b=target:a"],                 "FROM x AS a\nFROM b",                          "stage 0"),
        (&["b=target:A"],                 "FROM x AS a\nFROM y\nCOPY --from=b f /",       "index.docker.io/library/y:latest linux/amd64, stage 0"),
        (&["a::linux/arm64=one", "a=two"], "FROM a",                                      "scratch, context 1"),
        (&["a::linux/arm64=one", "a=two"], "FROM --platform=linux/arm64 a",               "scratch, context 0"),
    ];
    for (given, text, want) in cases {
        assert_eq!(sources(&all(given), text), want, "{given:?} {text}");
    }
}

#[test]
fn stages_as_contexts_come_first() {
    let case = Case::new()
        .context("b=target:late")
        .context("c=target:none");
    assert_eq!(
        case.error("FROM b AS early\nFROM x AS late\nFROM early"),
        "cannot start stage \"early\" from stage \"late\", it needs to be defined before (line 1)"
    );
    assert_eq!(
        case.error("FROM x AS early\nFROM c"),
        "there is no stage \"none\" for the context \"c\" (line 2)"
    );
    let case = Case::new().context("a=target:a");
    assert_eq!(
        case.error("FROM x AS a"),
        "circular dependency detected on stage: a (line 1)"
    );
}

#[test]
fn files_are_the_first_layer_of_a_stage() {
    let case = Case::new().context("app=dir");
    assert_eq!(
        case.history("FROM app\nLABEL a=b"),
        "+ local source for context:app\n- LABEL a=b\n"
    );
}
