//! Stages that need themselves.

use crate::dockerfile::Span;

/// A stage's need for another one.
pub(super) struct Edge {
    pub to: usize,
    /// Where it stands, and what says so there.
    pub span: Span,
    pub reference: String,
}

/// Returns the first stage from which a circle is reached, and what closes that; there is a list of needs for each stage.
pub(super) fn find(edges: &[Vec<Edge>]) -> Option<(usize, &Edge)> {
    let mut done = vec![false; edges.len()];
    (0..edges.len())
        .find_map(|stage| Some((stage, back(edges, stage, &mut Vec::new(), &mut done)?)))
}

/// Searches depth first for an edge back to a stage on `path`.
fn back<'e>(
    edges: &'e [Vec<Edge>],
    stage: usize,
    path: &mut Vec<usize>,
    done: &mut [bool],
) -> Option<&'e Edge> {
    if done[stage] {
        return None;
    }
    path.push(stage);
    for edge in &edges[stage] {
        if path.contains(&edge.to) {
            return Some(edge);
        }
        let found = back(edges, edge.to, path, done);
        if found.is_some() {
            return found;
        }
    }
    path.pop();
    done[stage] = true;
    None
}
