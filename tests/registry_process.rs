//! The house's own ground: the registries that other tests use answer, and the base image arrives whole.

use crate::support::{Image, Registry, base};

#[test]
fn the_base_image_survives_every_kind_of_registry() {
    for registry in [Registry::plain(), Registry::basic_auth(), Registry::tls()] {
        let image = Image::pull(&registry, &base::push(&registry));
        assert_eq!(image.layer_count(), 1, "tls: {}", registry.is_tls());
        assert!(image.tree("etc").contains(" passwd\n"));
    }
}
