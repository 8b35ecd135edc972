//! Names of parameters that older versions wrote otherwise.

/// The branches of a decoder's layers, as they were called and as they are.
const BRANCHES: [(&str, &str); 2] = [("tokens", "self_attention"), ("frames", "cross_attention")];

/// Parts of a branch; they tell it from other parts of a model that have the same name.
const PARTS: [&str; 5] = ["norm", "query", "key", "value", "output"];

/// The present name of a tensor: `decoder.layers.0.tokens.query.weight` is
/// `decoder.layers.0.self_attention.query.weight`, whatever stands before it (a checkpoint has moments, too).
pub(super) fn current(name: String) -> String {
    let mut parts: Vec<&str> = name.split('.').collect();
    let found = parts.windows(5).position(|window| {
        window[0] == "decoder"
            && window[1] == "layers"
            && window[2].parse::<usize>().is_ok()
            && BRANCHES.iter().any(|(older, _)| *older == window[3])
            && PARTS.contains(&window[4])
    });
    let Some(at) = found else { return name };
    for (older, newer) in BRANCHES {
        if parts[at + 3] == older {
            parts[at + 3] = newer;
        }
    }
    parts.join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_of_decoders_are_renamed_and_nothing_else() {
        let now = |name: &str| current(name.to_string());
        assert_eq!(now("decoder.layers.3.tokens.norm.gamma"), "decoder.layers.3.self_attention.norm.gamma");
        assert_eq!(
            now("moments.1.model.decoder.layers.0.frames.key.weight"),
            "moments.1.model.decoder.layers.0.cross_attention.key.weight"
        );
        for same in [
            "decoder.layers.0.query.weight",
            "decoder.layers.0.self_attention.query.weight",
            "encoder.layers.0.tokens.query.weight",
            "decoder.layers.x.tokens.query.weight",
            "decoder.layers.0.tokens.other",
            "frames",
        ] {
            assert_eq!(now(same), same);
        }
    }
}
