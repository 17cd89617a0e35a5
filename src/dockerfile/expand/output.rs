//! Expanded text, and the words it falls into.

/// Grows by characters that may end a word when they are white space (soft) and by those that may not (hard).
#[derive(Debug, Default)]
pub(super) struct Output {
    text: String,
    words: Vec<String>,
    word: Option<String>,
}

impl Output {
    pub fn push_soft(&mut self, c: char) {
        self.text.push(c);
        match c.is_whitespace() {
            true => self.words.extend(self.word.take()),
            false => self.word.get_or_insert_default().push(c),
        }
    }

    pub fn push_hard(&mut self, c: char) {
        self.text.push(c);
        self.word.get_or_insert_default().push(c);
    }

    pub fn push_soft_str(&mut self, text: &str) {
        text.chars().for_each(|c| self.push_soft(c));
    }

    /// Even an empty text is then part of a word.
    pub fn push_hard_str(&mut self, text: &str) {
        self.text.push_str(text);
        self.word.get_or_insert_default().push_str(text);
    }

    pub fn into_text(self) -> String {
        self.text
    }

    pub fn finish(mut self) -> (String, Vec<String>) {
        self.words.extend(self.word.take());
        (self.text, self.words)
    }
}
