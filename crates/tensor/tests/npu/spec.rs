use auricle_tensor::npu::spec::{DeviceSpec, SpecError, names};

#[test]
fn every_description_is_valid_and_has_its_name() {
    assert_eq!(names().len(), 7);
    for name in names() {
        let spec = DeviceSpec::named(name).unwrap();
        assert_eq!(spec.name, name);
        assert!(spec.facts().iter().all(|(_, fact)| !fact.source.is_empty() && !fact.unit.is_empty()));
    }
}

#[test]
fn peaks_are_the_published_ones() {
    // Ascend/msmodeling profiles, bf16 TFLOP/s (published): 353.9, 294.9, 245.8; 910A: 262 from cores and clock.
    for (name, published) in [("910b2", 353.9), ("910b3", 294.9), ("910b4", 245.8), ("910a", 262.1)] {
        let modelled = 2.0 * DeviceSpec::named(name).unwrap().peak_macs() / 1e12;
        assert!((modelled - published).abs() < 0.1, "{name}: modelled {modelled}, published {published}");
    }
}

#[test]
fn wrong_descriptions_say_what_is_wrong() {
    let message = DeviceSpec::named("910z").unwrap_err().to_string();
    assert!(message.contains("910z") && message.contains("910b3"), "{message}");
    let text = include_str!("../../src/npu/devices/910b3.toml");
    for (from, to, part) in [
        ("value = 20,", "value = 0,", "cores.cube"),
        ("value = 40,", "value = 40.5,", "cores.vector"),
        ("value = 65536,", "value = 65500,", "buffers.l0a"),
        ("value = 1800000000.0,", "value = 1800.0,", "cores.clock"),
        ("source = \"assumed\"", "source = \" \"", "no source"),
        ("bf16 = true", "bf17 = true", "bf17"),
        ("value = 3960000000000.0,", "value = 396.0,", "l2_rate"),
    ] {
        assert!(text.contains(from), "{from}");
        let error = DeviceSpec::parse(&text.replacen(from, to, 1)).unwrap_err();
        assert!(error.to_string().contains(part), "{from} -> {to}: {error}");
        assert_eq!(matches!(error, SpecError::Syntax(_)), part == "bf17");
    }
}
