# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Names of the skip strategies; imports nothing, so that help texts stay instant."""

STRATEGIES = {
    'dysl': 'DySL: adapters and controllers with prior guidance and verification',
    'dense': 'every layer',
    'dysl_joint': 'one decision per pass, gate trained on measured action error (ours)',
    'dysl_no_prior': 'DySL without prior guidance',
    'dysl_no_post': 'DySL without post verification',
    'dysl_no_split': 'DySL without static layers: every layer decides for itself',
    'dysl_one_stage': 'DySL whose adapters and controllers were trained in one stage',
    'truncated': 'the first layers only, head and cross-attention fine-tuned',
    'static_drop_cosine': 'layers that change their input least removed for good, fine-tuned',
    'static_drop_gradient': 'layers with the smallest first-order effect removed, fine-tuned',
    'random': "random plans of DySL's jumps at a given budget",
    'deer': 'early exit when two exits agree (DeeR)',
    'flexidepth': 'a gate per layer (FlexiDepth, whole sequence)',
    'one_shot_router': 'one router before layer 0 chooses the layers (MoLe)',
    'action_reuse': 'extrapolate smooth motion instead of running the model (SP-VLA)',
}
