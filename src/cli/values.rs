//! The values that flags were given.

use std::collections::BTreeMap;
use std::fmt;

use super::table::{Flag, State};
use super::value::{self, Kind};

/// Values by flag, each valid for its kind.
pub struct Values {
    table: &'static [&'static [Flag]],
    given: BTreeMap<&'static str, Vec<String>>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.given.fmt(f)
    }
}

impl Values {
    pub fn new(table: &'static [&'static [Flag]]) -> Self {
        Self {
            table,
            given: BTreeMap::new(),
        }
    }

    /// Records one use of a flag. Its value has been checked.
    pub fn add(&mut self, flag: &Flag, value: &str) {
        let values = self.given.entry(flag.canonical()).or_default();
        if !flag.kind.is_repeatable() {
            values.clear();
        }
        match flag.kind {
            Kind::Commas => values.extend(value.split(',').map(str::to_owned)),
            _ => values.push(value.into()),
        }
    }

    pub fn is_given(&self, name: &str) -> bool {
        self.flag(name);
        self.given.contains_key(name)
    }

    /// Returns the value, or the default.
    pub fn text(&self, name: &str) -> &str {
        let default = self.flag(name).default;
        self.list(name).last().map_or(default, String::as_str)
    }

    /// Returns the value unless it is empty.
    pub fn non_empty(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    pub fn bool(&self, name: &str) -> bool {
        value::parse_bool(self.text(name)).expect("the value was checked")
    }

    pub fn int(&self, name: &str) -> i64 {
        value::parse_int(self.text(name)).expect("the value was checked")
    }

    /// Returns a length of time; a negative one counts as none.
    pub fn duration(&self, name: &str) -> std::time::Duration {
        let nanoseconds = value::parse_duration(self.text(name)).expect("the value was checked");
        std::time::Duration::from_nanos(nanoseconds.max(0).cast_unsigned())
    }

    /// Returns a length of time, also in days, if one was given.
    pub fn age(&self, name: &str) -> Option<std::time::Duration> {
        let text = self.non_empty(name)?;
        let nanoseconds = value::parse_age(text).expect("the value was checked");
        Some(std::time::Duration::from_nanos(
            nanoseconds.max(0).cast_unsigned(),
        ))
    }

    /// Tells whether the command has this flag.
    pub fn knows(&self, name: &str) -> bool {
        self.flags().any(|flag| flag.name == name)
    }

    /// Returns a number of bytes, if one was given.
    pub fn size(&self, name: &str) -> Option<u64> {
        value::parse_size(self.text(name)).expect("the value was checked")
    }

    /// Returns all values in the order given.
    pub fn list(&self, name: &str) -> &[String] {
        self.flag(name);
        self.given.get(name).map_or(&[], Vec::as_slice)
    }

    /// Returns all pairs in the order given.
    pub fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let pairs = self.list(name).iter().map(|text| value::parse_pair(text));
        pairs
            .map(|pair| pair.expect("the value was checked"))
            .collect()
    }

    /// Returns the flags that were given although there is nothing to do for them, with the reason.
    pub fn holding(&self) -> impl Iterator<Item = (&'static str, &'static str)> + '_ {
        let given = self.flags().filter(|flag| self.is_given(flag.name));
        given.filter_map(|flag| match flag.state {
            State::Holds(reason) => Some((flag.name, reason)),
            _ => None,
        })
    }

    fn flags(&self) -> impl Iterator<Item = &'static Flag> {
        self.table.iter().copied().flatten()
    }

    fn flag(&self, name: &str) -> &'static Flag {
        let flag = self.flags().find(|flag| flag.name == name);
        flag.unwrap_or_else(|| panic!("the table has a flag {name}"))
    }

    /// Returns the values given, by flag and in the order given.
    pub fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.given.iter().flat_map(|(name, values)| {
            let values = values.iter();
            values.map(|value| (*name, value.as_str()))
        })
    }
}
