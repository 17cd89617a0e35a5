//! What led to an error.

use std::error::Error;

/// Returns the causes of an error, outermost first.
pub fn of<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |cause| (**cause).source())
}

/// Returns an error with its causes in one line, for where it is not reported but told of.
pub fn in_one_line(error: &(dyn Error + 'static)) -> String {
    let causes = of(error).map(|cause| format!(": {cause}"));
    std::iter::once(error.to_string()).chain(causes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Step {
        text: &'static str,
        source: Option<Box<Step>>,
    }

    fn step(text: &'static str, source: Option<Step>) -> Step {
        let source = source.map(Box::new);
        Step { text, source }
    }

    #[test]
    fn every_cause_is_told() {
        let error = step("one", Some(step("two", Some(step("three", None)))));
        assert_eq!(in_one_line(&error), "one: two: three");
        assert_eq!(of(&error).count(), 2);
        assert_eq!(in_one_line(&step("alone", None)), "alone");
    }
}
