# Copyright 2026 The dysl_vla_ros authors
# SPDX-License-Identifier: Apache-2.0
"""``DySLPolicy``: reset with an instruction, then one ``act`` per observation.

Every control step proposes, maybe verifies, and commits exactly once; an exception on the way
commits nothing (design/method.md sections 8 and 9).
"""

from dataclasses import dataclass, replace
import math
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import torch

from dysl_vla_ros.configuration import to_mapping
from dysl_vla_ros.errors import ConfigError, ContractError
from dysl_vla_ros.model import checkpoint
from dysl_vla_ros.model.action_head import HeadOutput, HeadState
from dysl_vla_ros.model.tokenizer import InstructionTokenizer
from dysl_vla_ros.model.vla import DySLVLA
from dysl_vla_ros.observation.observation import Observation
from dysl_vla_ros.observation.preprocess import resize
from dysl_vla_ros.skipping.config import SkippingConfig
from dysl_vla_ros.skipping.continuity import continuity
from dysl_vla_ros.skipping.executor import LayerExecutor, Pass
from dysl_vla_ros.skipping.guidance import initial_allow_points, move_allow_points
from dysl_vla_ros.skipping.modules import SkipModules
from dysl_vla_ros.skipping.step import GroupReason, GroupTrace, SkipTrace, Step, StepTiming
from dysl_vla_ros.skipping.verification import must_verify

Strategy = Literal['dysl', 'dense']


@dataclass(frozen=True)
class PolicyState:
    """Everything that changes from step to step; replaced as a whole by a commit.

    Attributes:
        head: Recurrent state of the action head.
        actions: The last k + 1 committed actions (continuity's part of them).
        continuities: C_{t-2}, C_{t-1}, newest last, as far as defined.
        allow_points: l_i per group.
        steps_since_verification: Large before the first one.
        index: Next step's index.
    """

    head: HeadState
    actions: tuple[np.ndarray, ...] = ()
    continuities: tuple[float, ...] = ()
    allow_points: tuple[int, ...] = ()
    steps_since_verification: int = 1 << 30
    index: int = 0


class DySLPolicy:
    """The policy a node, an evaluation or a bench runs; batch of one."""

    def __init__(self, model: DySLVLA, tokenizer: InstructionTokenizer,
                 skipping: SkippingConfig | None = None, modules: SkipModules | None = None,
                 strategy: Strategy = 'dysl', device: str = 'cpu',
                 source: dict[str, Any] | None = None) -> None:
        """Wrap a loaded network.

        Raises:
            ConfigError: If strategy 'dysl' lacks its modules, or the strategy is unknown.
        """
        if strategy not in ('dysl', 'dense'):
            raise ConfigError(f'unknown strategy {strategy!r}; expected dysl or dense')
        if strategy == 'dysl' and (skipping is None or modules is None):
            raise ConfigError('strategy dysl needs skipping.json and skipping.safetensors in the '
                              'weights folder (dysl-vla distill writes them); use strategy dense')
        self.model = model.to(device).eval()
        self.tokenizer = tokenizer
        self.strategy = strategy
        self.device = torch.device(device)
        self.skipping = skipping
        self.source = source or {}
        self.modules = modules.to(device).eval() if modules is not None else None
        self.executor = LayerExecutor(
            model, self.modules, skipping.skip_threshold if skipping is not None else 0.5)
        self._instruction: str | None = None
        self._prompt: torch.Tensor | None = None
        self._state = PolicyState(model.lm_head.initial_state())

    @classmethod
    def from_pretrained(cls, folder: str | Path, strategy: Strategy = 'dysl',
                        device: str = 'cpu') -> 'DySLPolicy':
        """Load a weights folder.

        Raises:
            CheckpointError: If a file or key is missing, unexpected, mis-shaped or not finite.
            ConfigError: If the strategy is unknown or its files are absent.
        """
        folder = Path(folder)
        model = DySLVLA.from_pretrained(folder)
        tokenizer = InstructionTokenizer.from_folder(folder)
        skipping, modules = None, None
        if strategy == 'dysl':
            skipping = SkippingConfig.from_folder(folder)
            if skipping.n_layers != model.n_layers:
                raise ConfigError(f'{folder}/skipping.json is for {skipping.n_layers} layers, the '
                                  f'model has {model.n_layers}; distil again')
            modules = SkipModules(skipping.partition, model.config.decoder.d_model,
                                  skipping.adapter_rank, skipping.controller_hidden)
            modules.load(folder)
        source = {'folder': str(folder),
                  'weights_sha256': checkpoint.file_hash(folder / checkpoint.WEIGHTS)}
        return cls(model, tokenizer, skipping, modules, strategy, device, source)

    # ------------------------------------------------------------------ public
    @property
    def instruction(self) -> str | None:
        """The instruction in force, or None before the first reset."""
        return self._instruction

    @property
    def state(self) -> PolicyState:
        """The committed state (immutable)."""
        return self._state

    def describe(self) -> dict[str, Any]:
        """What runs here: weights hash, strategy, sizes, thresholds; JSON-ready."""
        return {
            'model': to_mapping(self.model.config), 'strategy': self.strategy,
            'skipping': to_mapping(self.skipping) if self.skipping is not None else None,
            'device': str(self.device), 'torch': torch.__version__, **self.source}

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
        points = initial_allow_points(self.skipping.partition) if self.skipping is not None else ()
        self._state = PolicyState(self.model.lm_head.initial_state(), allow_points=points)

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
        pixels, robot_obs = self._tensors(observation)
        after_preprocess = perf_counter()
        media = self.model.encode_vision(pixels)
        after_vision = perf_counter()
        step = self.act_on_media(media, robot_obs)
        timing = replace(step.timing, preprocess_ms=1e3 * (after_preprocess - start),
                         vision_ms=1e3 * (after_vision - after_preprocess),
                         total_ms=1e3 * (perf_counter() - start))
        return replace(step, timing=timing)

    @torch.inference_mode()
    def act_on_media(self, media: torch.Tensor, robot_obs: torch.Tensor | None) -> Step:
        """Like ``act`` from media latents (1, M, width) that exist already (calibration)."""
        if self._prompt is None:
            raise ContractError('act() before reset(instruction)')
        start = perf_counter()
        state, output, trace, head_ms, decoder_ms = self._propose(media, robot_obs)
        action = self._action(output)
        probability = float(output.gripper_logit.sigmoid())
        self._state = state  # the one commit; nothing after it can fail
        timing = StepTiming(0.0, 0.0, decoder_ms, head_ms, 1e3 * (perf_counter() - start))
        return Step(action, probability, state.index - 1, trace, timing)

    # ------------------------------------------------------------------ one step
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

    def _propose(self, media: torch.Tensor, robot_obs: torch.Tensor | None,
                 ) -> tuple[PolicyState, HeadOutput, SkipTrace, float, float]:
        """Propose an action with the state that would be committed with it."""
        state, config = self._state, self.skipping
        assert self._prompt is not None
        begin = perf_counter()
        is_warm_up = config is not None and state.index < config.warmup_steps
        if self.strategy == 'dense' or is_warm_up:
            result = self.executor.run_dense(self._prompt, media)
        else:
            result = self.executor.run_skipping(self._prompt, media, state.allow_points)
        decoder_end = perf_counter()
        output = self._peek(result, robot_obs)
        head_end = perf_counter()
        decoder_s, head_s = decoder_end - begin, head_end - decoder_end
        if config is None:
            trace = self._trace(result, result, None, math.nan, math.nan)
            following = replace(state, head=output.state, index=state.index + 1)
            return following, output, trace, 1e3 * head_s, 1e3 * decoder_s

        actions, value, change = self._continuity(output, config)
        previous = state.continuities[-1] - state.continuities[-2] \
            if len(state.continuities) == 2 else math.nan
        first = result
        verified = must_verify(change, previous, bool(result.jumps),
                               state.steps_since_verification, config)
        if verified:
            assert result.first_jump is not None
            begin = perf_counter()
            layer, x = result.first_jump
            dense = self.executor.run_dense(x, media, layer)
            # Layers before the first jump are the same in both passes.
            result = Pass(dense.x, list(range(layer)) + dense.executed)
            decoder_end = perf_counter()
            output = self._peek(result, robot_obs)
            head_end = perf_counter()
            decoder_s += decoder_end - begin
            head_s += head_end - decoder_end
            actions, value, change = self._continuity(output, config)
        points = state.allow_points
        if config.use_prior and not math.isnan(change):
            points = move_allow_points(points, change, config.partition, config)
        history = state.continuities if math.isnan(value) else (*state.continuities, value)[-2:]
        following = PolicyState(
            output.state, actions, history, points,
            1 if verified else state.steps_since_verification + 1, state.index + 1)
        trace = self._trace(result, first, config, value, change, verified, is_warm_up)
        return following, output, trace, 1e3 * head_s, 1e3 * decoder_s

    def _peek(self, result: Pass, robot_obs: torch.Tensor | None) -> HeadOutput:
        feature = self.model.pool(result.x, None, robot_obs)
        return self.model.lm_head.peek(feature, self._state.head)

    def _continuity(self, output: HeadOutput,
                    config: SkippingConfig) -> tuple[tuple[np.ndarray, ...], float, float]:
        values = output.pose[0].cpu().numpy()
        if config.include_gripper:
            values = np.append(values, 1.0 if float(output.gripper_logit) > 0 else -1.0)
        actions = (*self._state.actions, values)[-(config.window + 1):]
        value = continuity(actions, config.window)
        earlier = self._state.continuities
        return actions, value, value - earlier[-1] if earlier else math.nan

    def _action(self, output: HeadOutput) -> np.ndarray:
        # RoboFlamingo casts to float16 before commanding; kept, so that scores compare.
        pose = output.pose[0].cpu().numpy().astype(np.float16).astype(np.float32)
        logit = float(output.gripper_logit)
        if not (np.isfinite(pose).all() and math.isfinite(logit)):
            raise ContractError(f'the network returned a non-finite action: pose {pose}, gripper '
                                f'logit {logit}; check the weights and the images')
        return np.append(pose, np.float32(1.0 if logit > 0 else -1.0))

    def _trace(self, result: Pass, first: Pass, config: SkippingConfig | None, value: float,
               change: float, verified: bool = False, is_warm_up: bool = False) -> SkipTrace:
        executed = np.zeros(self.model.n_layers, dtype=bool)
        executed[result.executed] = True
        groups = []
        jumps = dict(result.jumps)
        for index, group in enumerate(config.partition.groups if config is not None else ()):
            allow_point = self._state.allow_points[index]
            jump = next((j for j in jumps if group.first <= j <= group.last), -1)
            if verified:
                reason = GroupReason.VERIFIED
            elif is_warm_up:
                reason = GroupReason.WARMUP
            elif self.strategy == 'dense':
                reason = GroupReason.DENSE
            elif jump >= 0:
                reason = GroupReason.SKIPPED
            else:
                reason = GroupReason.FORCED if allow_point > group.last else GroupReason.KEPT
            groups.append(GroupTrace(group.first, group.last, reason, jump, allow_point))
        total = len(first.executed)
        if verified:
            assert first.first_jump is not None
            total += len(result.executed) - first.first_jump[0]
        return SkipTrace(executed, total, tuple(groups), value, change, verified)
