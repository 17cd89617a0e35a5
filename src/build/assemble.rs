//! From a finished stage to the config and layers of an image. Pure.
//!
//! # Spec
//! Language spec 5 (CFG-*, HIS-*); compat spec 9.4.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::image::{self, Compression, Descriptor, Family, History, ImageConfig, Layer, json};

/// What one step of this build left: its history entry, and its layer if it made one.
#[derive(Debug, Clone)]
pub struct Record {
    /// Absent for instructions without an entry (`ONBUILD`).
    pub created_by: Option<String>,
    pub layer: Option<Layer>,
    /// When the layer was made.
    pub created: Option<OffsetDateTime>,
}

/// A stage as others build on it: the base image's part and what this build added.
#[derive(Debug, Clone)]
pub struct Lineage {
    pub base_layers: Vec<Layer>,
    pub base_history: Vec<History>,
    pub records: Vec<Record>,
}

/// How the documents are written, whatever the stage.
#[derive(Debug, Clone)]
pub struct Presentation {
    pub family: Family,
    /// `--label`: applied last, without history.
    pub labels: Vec<(String, String)>,
    /// Seconds since 1970 that replace every time of this build.
    pub source_date_epoch: Option<i64>,
}

/// What an image consists of, before somebody puts a manifest around it.
#[derive(Debug, Clone)]
pub struct Parts {
    pub config_bytes: Vec<u8>,
    /// The layers with media types of the image's family.
    pub layers: Vec<Descriptor>,
}

/// The comment that BuildKit puts into every history entry (HIS-1).
const COMMENT: &str = "buildkit.dockerfile.v0";

/// Writes the config of an image whose last stage ends with `config`, and lists its layers.
///
/// # Errors
/// [`image::Error::Family`] if a zstd layer would have to be listed in a Docker manifest.
pub fn assemble(
    config: &ImageConfig,
    lineage: &Lineage,
    presentation: &Presentation,
) -> Result<Parts, image::Error> {
    let made = lineage
        .records
        .iter()
        .filter_map(|record| record.layer.as_ref());
    let layers: Vec<&Layer> = lineage.base_layers.iter().chain(made).collect();

    let mut config = config.clone();
    config
        .config
        .labels
        .extend(presentation.labels.iter().cloned());
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id.clone()).collect();
    config.history = history(lineage, presentation.source_date_epoch);
    config.created = match presentation.source_date_epoch {
        Some(seconds) => Some(from_seconds(seconds)),
        None => config
            .history
            .last()
            .and_then(|entry| entry.created.clone()),
    };

    let in_family = |layer: &Layer| {
        let mut descriptor = layer.descriptor.clone();
        descriptor.media_type = descriptor.media_type.layer_in(presentation.family)?;
        Ok(descriptor)
    };
    let layers = layers
        .into_iter()
        .map(in_family)
        .collect::<Result<_, image::Error>>()?;
    Ok(Parts {
        config_bytes: json::to_vec(&config),
        layers,
    })
}

/// Returns the compression for new layers and whether the wish for zstd had to be given up (compat 9.4).
pub fn compression(family: Family, wanted: Compression) -> (Compression, bool) {
    match (family, wanted) {
        (Family::Docker, Compression::Zstd) => (Compression::Gzip, true),
        (_, wanted) => (wanted, false),
    }
}

/// Returns the base's history and an entry for each step. A metadata entry takes the time of the layer before it, else of
/// the first layer after it, else the base's last time (HIS-9).
fn history(lineage: &Lineage, epoch: Option<i64>) -> Vec<History> {
    let base = lineage.base_history.iter();
    let last_of_base = lineage
        .base_history
        .last()
        .and_then(|entry| entry.created.clone());
    let first = lineage
        .records
        .iter()
        .find_map(|record| record.created)
        .map(format);
    let mut time = first.or(last_of_base);
    let mut entries: Vec<History> = base.cloned().collect();
    for record in &lineage.records {
        if let Some(created) = record.created {
            time = Some(format(created));
        }
        let Some(created_by) = &record.created_by else {
            continue;
        };
        entries.push(History {
            created: epoch.map(from_seconds).or_else(|| time.clone()),
            created_by: created_by.clone(),
            author: String::new(),
            comment: COMMENT.to_owned(),
            empty_layer: record.layer.is_none(),
        });
    }
    entries
}

fn from_seconds(seconds: i64) -> String {
    format(OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH))
}

fn format(time: OffsetDateTime) -> String {
    time.format(&Rfc3339)
        .expect("years of four digits can be written as RFC 3339")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{DiffId, Digest, Platform};

    fn layer(name: &str) -> Layer {
        let media_type = Family::Docker.layer(Compression::Gzip).unwrap();
        Layer {
            descriptor: Descriptor::new(media_type, Digest::of(name.as_bytes()), 7),
            diff_id: DiffId::new(Digest::of(format!("tar of {name}").as_bytes())),
        }
    }

    fn record(created_by: &str, made_at: Option<i64>) -> Record {
        Record {
            created_by: Some(created_by.to_owned()),
            layer: made_at.map(|_| layer(created_by)),
            created: made_at.map(|s| OffsetDateTime::from_unix_timestamp(s).unwrap()),
        }
    }

    fn lineage(records: Vec<Record>) -> Lineage {
        let entry = History {
            created: Some("2020-01-01T00:00:00Z".to_owned()),
            created_by: "base".to_owned(),
            ..History::default()
        };
        Lineage {
            base_layers: vec![layer("base")],
            base_history: vec![entry],
            records,
        }
    }

    fn times(lineage: &Lineage, epoch: Option<i64>) -> Vec<String> {
        let line = |h: History| {
            format!(
                "{}{} {}",
                h.created_by,
                if h.empty_layer { " (empty)" } else { "" },
                h.created.unwrap_or_default()
            )
        };
        history(lineage, epoch).into_iter().map(line).collect()
    }

    #[test]
    fn metadata_takes_the_time_of_a_neighbouring_layer() {
        let records = vec![
            record("ENV", None),
            record("RUN a", Some(10)),
            record("LABEL", None),
            record("RUN b", Some(20)),
        ];
        let want = [
            "base 2020-01-01T00:00:00Z",
            "ENV (empty) 1970-01-01T00:00:10Z",
            "RUN a 1970-01-01T00:00:10Z",
            "LABEL (empty) 1970-01-01T00:00:10Z",
            "RUN b 1970-01-01T00:00:20Z",
        ];
        assert_eq!(times(&lineage(records.clone()), None), want);
        assert_eq!(
            times(&lineage(vec![record("ENV", None)]), None)[1],
            "ENV (empty) 2020-01-01T00:00:00Z"
        );
        assert_eq!(
            times(&lineage(records), Some(0))[4],
            "RUN b 1970-01-01T00:00:00Z"
        );
    }

    #[test]
    fn every_layer_is_listed_with_its_hash() {
        let lineage = lineage(vec![record("RUN a", Some(10))]);
        let config = ImageConfig::scratch(Platform::new("linux", "amd64", ""));
        let presentation = Presentation {
            family: Family::Oci,
            labels: vec![("k".to_owned(), "v".to_owned())],
            source_date_epoch: None,
        };
        let parts = assemble(&config, &lineage, &presentation).unwrap();
        let types: Vec<_> = parts.layers.iter().map(|l| l.media_type.as_str()).collect();
        assert_eq!(types, ["application/vnd.oci.image.layer.v1.tar+gzip"; 2]);
        let config: ImageConfig = serde_json::from_slice(&parts.config_bytes).unwrap();
        assert_eq!(
            config.rootfs.diff_ids,
            [layer("base").diff_id, layer("RUN a").diff_id]
        );
        assert_eq!(config.config.labels["k"], "v");
        assert_eq!(config.created.as_deref(), Some("1970-01-01T00:00:10Z"));
    }
}
