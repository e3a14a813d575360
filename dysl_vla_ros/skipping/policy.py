# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``DySLPolicy``: reset with an instruction, then one ``act`` per observation.

Every control step proposes, maybe verifies, and commits exactly once; an exception on the way
commits nothing (design/method.md sections 8 and 9).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
import math
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import ConfigError, ContractError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.acceleration import AS_STORED, Acceleration, accelerate
from dysl_vla_ros.model.action_head import HeadOutput
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.observation.preprocess import resize
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.executor import LayerExecutor
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.registry import check_name, load_strategy
from dysl_vla_ros.skipping.step import Step, StepTiming
from dysl_vla_ros.skipping.strategies.dysl import DySL
from dysl_vla_ros.skipping.strategy import Dense, Frame, PolicyState, Strategy, Verified

_RECENT = 8  # committed actions that a strategy may look back on


class DySLPolicy:
    """The policy a node, an evaluation or a bench runs; batch of one."""

    def __init__(self, model: DySLVLA, tokenizer: InstructionTokenizer,
                 skipping: SkippingConfig | None = None, modules: SkipModules | None = None,
                 strategy: str | Strategy = 'dysl', device: str = 'cpu',
                 source: dict[str, Any] | None = None, verify_always: bool = False) -> None:
        """Wrap a loaded network.

        Args:
            model: The frozen network.
            tokenizer: Its tokenizer.
            skipping: Configuration of DySL; used if ``strategy`` is 'dysl'.
            modules: Adapters and controllers of DySL.
            strategy: 'dysl', 'dense' or one that is built already.
            device: Torch device.
            source: Where the weights come from, for ``describe``.
            verify_always: Predict every step again with all layers and commit that.

        Raises:
            ConfigError: If strategy 'dysl' lacks its modules, or the strategy is unknown.
        """
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.device = torch.device(device)
        self.source = source or {}
        if isinstance(strategy, str):
            strategy = _build(model, skipping, modules, strategy)
        if strategy.modules is not None:
            strategy.modules.to(device=device, dtype=model.dtype).eval()
        self.rule: Strategy = Verified(strategy, Dense(model, 'dense')) if verify_always \
            else strategy
        self.strategy = self.rule.name
        self._instruction: str | None = None
        self._prompt: torch.Tensor | None = None
        self._state = self.rule.initial_state()
        self._is_aborted = False  # True from the start of a step until its commit

    @classmethod
    def from_pretrained(cls, folder: str | Path, strategy: str = 'dysl', device: str = 'cpu',
                        budget: float | None = None, verify_always: bool = False,
                        acceleration: Acceleration = AS_STORED) -> 'DySLPolicy':
        """Load a weights folder.

        Args:
            folder: Weights folder.
            strategy: One of ``names.STRATEGIES``.
            device: Torch device.
            budget: Wanted mean share of decoder layers; one of those calibrated.
            verify_always: See the constructor.
            acceleration: Precision, int8 weights, compilation, CUDA graphs.

        Raises:
            CheckpointError: If a file or key is missing, unexpected, mis-shaped or not finite.
            ConfigError: If the strategy is unknown or its files are absent, or int8 is wanted
                without torchao.
        """
        return cls.from_pretrained_many(folder, {strategy: budget}, device, verify_always,
                                        acceleration)[strategy]

    @classmethod
    def from_pretrained_many(
            cls, folder: str | Path, budgets: Mapping[str, float | None], device: str = 'cpu',
            verify_always: bool = False, acceleration: Acceleration = AS_STORED,
            ) -> dict[str, 'DySLPolicy']:
        """Load a weights folder once for several strategies, which share the network.

        Args:
            folder: Weights folder.
            budgets: Strategies, each with its budget (None: the default of its files).
            device: Torch device.
            verify_always: See the constructor.
            acceleration: As in ``from_pretrained``.

        Raises:
            CheckpointError, ConfigError: As in ``from_pretrained``.
        """
        folder = Path(folder)
        for name in budgets:
            check_name(name)
        model = DySLVLA.from_pretrained(folder, device=device, dtype=acceleration.torch_dtype)
        tokenizer = InstructionTokenizer.from_folder(folder)
        # Their modules may start as copies of the network's: before it is quantised.
        rules = {name: load_strategy(model, folder, name, b) for name, b in budgets.items()}
        left_out = accelerate(model, acceleration)
        source = {'folder': str(folder),
                  'weights_sha256': checkpoint.file_hash(folder / checkpoint.WEIGHTS),
                  'acceleration': {**to_mapping(acceleration), 'left_out': left_out}}
        return {name: cls(model, tokenizer, strategy=rule, device=device, source=source,
                          verify_always=verify_always) for name, rule in rules.items()}

    # ------------------------------------------------------------------ public
    @property
    def instruction(self) -> str | None:
        """The instruction in force, or None before the first reset."""
        return self._instruction

    @property
    def executor(self) -> LayerExecutor:
        """What runs the layers, for the governor; AttributeError for strategies without one."""
        return self.rule.executor  # type: ignore[attr-defined]

    @property
    def state(self) -> PolicyState:
        """The committed state (immutable)."""
        return self._state

    def describe(self) -> dict[str, Any]:
        """What runs here: weights hash, strategy, sizes, thresholds; JSON-ready."""
        return {
            'model': to_mapping(self.model.config), 'strategy': self.strategy,
            'skipping': self.rule.describe() or None,
            'device': str(self.device), 'dtype': str(self.model.dtype).removeprefix('torch.'),
            'torch': torch.__version__, **self.source}

    @torch.inference_mode()
    def reset(self, instruction: str) -> None:
        """Start an instruction; clears every recurrent state.

        Raises:
            ContractError: If the instruction is empty.
        """
        if not instruction.strip():
            raise ContractError('instruction is empty; expected a sentence')
        ids = torch.tensor([self.tokenizer.encode(instruction)], device=self.device)
        self._prompt = self.model.embed(ids)  # (1, S, d), the same at every step
        self._instruction = instruction
        self._state = self.rule.initial_state()
        self._is_aborted = False

    @torch.inference_mode()
    def act(self, observation: Observation) -> Step:
        """Predict one action and commit it.

        Raises:
            ContractError: Before the first reset, without needed proprioception, or when the
                network's output is not finite; nothing is committed then.
        """
        if self._prompt is None:
            raise ContractError('act() before reset(instruction)')
        start = perf_counter()
        is_after_abort, self._is_aborted = self._is_aborted, True
        pixels, robot_obs = self._tensors(observation)
        after_preprocess = perf_counter()
        step = self._step(lambda: self.model.encode_vision(pixels), robot_obs,
                          observation.stamp_ns, is_after_abort)
        timing = replace(step.timing, preprocess_ms=1e3 * (after_preprocess - start),
                         total_ms=1e3 * (perf_counter() - start))
        return replace(step, timing=timing)

    @torch.inference_mode()
    def act_on_media(self, media: torch.Tensor, robot_obs: torch.Tensor | None) -> Step:
        """Like ``act`` from media latents (1, M, width) that exist already (calibration)."""
        return self._step(media, robot_obs)

    # ------------------------------------------------------------------ one step
    def _step(self, media: torch.Tensor | Callable[[], torch.Tensor],
              robot_obs: torch.Tensor | None, stamp_ns: int = 0,
              is_after_abort: bool = False) -> Step:
        if self._prompt is None:
            raise ContractError('act() before reset(instruction)')
        start = perf_counter()
        frame = Frame(self._prompt, media, robot_obs, self._instruction or '', stamp_ns,
                      is_after_abort)
        proposal = self.rule.propose(frame, self._state)
        action = self._action(proposal.output)
        probability = float(proposal.output.gripper_logit.sigmoid())
        index = self._state.index
        # The one commit; nothing after it can fail.
        self._state = replace(proposal.state, index=index + 1, stamp_ns=stamp_ns,
                              recent=(*self._state.recent, action)[-_RECENT:])
        self._is_aborted = False
        timing = StepTiming(0.0, 1e3 * frame.vision_s, 1e3 * proposal.decoder_s,
                            1e3 * proposal.head_s, 1e3 * (perf_counter() - start))
        return Step(action, probability, index, proposal.trace, timing)

    def _tensors(self, observation: Observation) -> tuple[torch.Tensor, torch.Tensor | None]:
        vision = self.model.config.vision
        images = np.stack([resize(image, vision.image_size, vision.resize)
                           for image in (observation.rgb_static, observation.rgb_gripper)])
        tensor = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
        robot_obs = None
        if self.model.config.head.use_state:
            if observation.robot_obs is None:
                raise ContractError('this model uses proprioception, the observation has none')
            robot_obs = torch.from_numpy(observation.robot_obs).float().to(self.device)[None]
        return self.model.normalise(tensor)[None], robot_obs  # (1, 2, 3, H, W)

    def _action(self, output: HeadOutput) -> np.ndarray:
        # RoboFlamingo casts to float16 before commanding; kept, so that scores compare.
        pose = output.pose[0].cpu().numpy().astype(np.float16).astype(np.float32)
        logit = float(output.gripper_logit)
        if not (np.isfinite(pose).all() and math.isfinite(logit)):
            raise ContractError(f'the network returned a non-finite action: pose {pose}, gripper '
                                f'logit {logit}; check the weights and the images')
        return np.append(pose, np.float32(1.0 if logit > 0 else -1.0))


def _build(model: DySLVLA, skipping: SkippingConfig | None, modules: SkipModules | None,
           name: str) -> Strategy:
    check_name(name)
    if name == 'dense':
        return Dense(model, 'dense')
    if name != 'dysl':
        raise ConfigError(f'strategy {name} is built by from_pretrained or registry.load_strategy')
    if skipping is None or modules is None:
        raise ConfigError('strategy dysl needs skipping.json and skipping.safetensors in the '
                          'weights folder (dysl-vla distill writes them); use strategy dense')
    return DySL(model, skipping, modules)
