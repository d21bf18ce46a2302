use super::*;

#[test]
fn names_are_read_and_written() {
    let cases = [
        ("cpu", Compute::Cpu, "cpu"),
        ("cuda", Compute::Cuda(0), "cuda:0"),
        ("cuda:1", Compute::Cuda(1), "cuda:1"),
        ("wgpu", Compute::Wgpu(0), "wgpu:0"),
        ("wgpu:65535", Compute::Wgpu(65535), "wgpu:65535"),
    ];
    for (text, expected, shown) in cases {
        let found: Compute = text.parse().unwrap();
        assert_eq!(found, expected, "{text}");
        assert_eq!(found.to_string(), shown);
        assert_eq!(shown.parse(), Ok(expected));
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Compute>(&json).unwrap(), found);
    }
}

#[test]
fn what_is_no_name_is_refused_with_what_to_write() {
    for bad in
        ["", "gpu", "CPU", "cpu:0", "cuda:", "cuda:-1", "cuda:+1", "wgpu:65536", "cuda:1:2", " cpu"]
    {
        let error = bad.parse::<Compute>().unwrap_err().to_string();
        assert!(error.contains(&format!("{bad:?}")) && error.contains("cuda:1"), "{error}");
    }
    assert!("x".repeat(1000).parse::<Compute>().unwrap_err().to_string().len() < 250);
}

#[test]
fn the_processor_is_always_there() {
    assert_eq!(Compute::default(), Compute::Cpu);
    assert!(Compute::Cpu.is_built());
    assert_eq!(Compute::Cpu.check().unwrap(), "the processor");
}

#[test]
fn a_device_that_was_not_built_or_is_not_there_is_an_error_that_helps() {
    for (compute, feature) in [(Compute::Cuda(40_000), "cuda"), (Compute::Wgpu(40_000), "wgpu")] {
        let error = compute.check().unwrap_err();
        let text = error.to_string();
        if compute.is_built() {
            assert!(matches!(error, ComputeError::Missing { .. }), "{text}");
            assert!(text.contains("driver") && text.contains(&compute.to_string()), "{text}");
        } else {
            assert_eq!(error, ComputeError::NotBuilt { compute, feature });
            let build = format!("cargo build --release --features {feature}");
            assert!(text.contains(&build) && text.contains("device cpu"), "{text}");
        }
    }
}

#[test]
fn numbers_of_cards_are_said() {
    let missing = |found| {
        ComputeError::Missing { compute: Compute::Cuda(3), feature: "cuda", found }.to_string()
    };
    assert!(missing(0).contains("cuda finds none here"));
    assert!(missing(1).contains("finds one, which is number 0, here"));
    assert!(missing(2).contains("finds 2, numbered from 0, here"));
}

#[test]
fn passes_of_a_card_have_few_shapes_and_those_of_the_processor_are_as_they_come() {
    let cases = [([1, 1], [1, 32]), ([2, 32], [2, 32]), ([3, 33], [4, 64]), ([9, 256], [16, 256])];
    for ([rows, longest], expected) in cases {
        assert_eq!(backend::card_shape(rows, longest), expected);
        assert_eq!(Backend::cpu().padded(rows, longest), [rows, longest]);
    }
    let all =
        (1..=32).flat_map(|rows| (1..=256).map(move |length| backend::card_shape(rows, length)));
    assert_eq!(all.collect::<std::collections::BTreeSet<_>>().len(), 6 * 8);
}

#[test]
fn what_a_backend_panics_with_is_told() {
    assert_eq!(backend::caught(|| 1), Ok(1));
    let told: [Result<(), String>; 3] = [
        backend::caught(|| panic!("out of {}", "memory")),
        backend::caught(|| panic!("gone")),
        backend::caught(|| std::panic::panic_any(3)),
    ];
    let expected = ["out of memory", "gone", "the backend panicked"];
    assert_eq!(told, expected.map(|text| Err::<(), _>(text.to_owned())));
}
