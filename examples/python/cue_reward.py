"""Cue and reward [Backpropamine 2019], with a policy in PyTorch: which of the cues pays changes in every episode.

python cue_reward.py [--episodes N] [--rule hard_clip] [--rate modulated] [--eligibility none]

Two cues of random bits are shown in turn, then a prompt; a right answer (yes or no) has reward +1, a wrong one -1.
The network must find out within the episode which cue pays, and remember it in its traces. It acts with step(), and
learns from the recorded episode by an actor and critic loss over plastic layer and heads.
"""
import argparse

import torch
from arguments import positive_integer
from plasticity.torch import PlasticRNN
from torch import nn

CUES, BITS, TRIALS, STEPS = 2, 8, 6, 3  # steps per trial: cue, prompt, reward


class Agent(nn.Module):
    """A plastic layer between the observation and the heads of policy and value."""

    def __init__(self, hidden, **options):
        super().__init__()
        # The observation: cue, prompt, the last reward, the last action.
        self.memory = PlasticRNN(BITS + 4, hidden, **options)
        self.policy, self.value = nn.Linear(hidden, 2), nn.Linear(hidden, 1)


class Task:
    """One episode of a batch. Cues and the one that pays are drawn anew."""

    def __init__(self, batch, generator):
        self.cues = torch.randint(0, 2, (batch, CUES, BITS), generator=generator).float()
        self.pays = torch.randint(0, CUES, (batch,), generator=generator)
        self.generator, self.batch = generator, batch

    def trial(self):
        self.shown = torch.randint(0, CUES, (self.batch,), generator=self.generator)
        return self.cues[torch.arange(self.batch), self.shown]

    def reward(self, action):
        return 2.0 * (action == (self.shown == self.pays).long()).float() - 1


def play(agent, batch, generator):
    """Plays one episode without a tape. Returns observations [T,B,I], and actions, rewards and turns of its trials."""
    task, state = Task(batch, generator), agent.memory.initial_state(batch)
    action, reward = torch.zeros(batch, dtype=torch.long), torch.zeros(batch)
    observations, actions, rewards = [], [], []
    for _ in range(TRIALS):
        cue = task.trial()
        for turn in range(STEPS):
            observation = torch.zeros(batch, BITS + 4)
            if turn == 0:
                observation[:, :BITS] = cue
            observation[:, BITS] = float(turn == 1)
            if turn == 2:
                observation[:, BITS + 1] = reward
                observation.scatter_(1, (BITS + 2 + action).unsqueeze(1), 1)
            y, state = agent.memory.step(observation, state)
            observations.append(observation)
            if turn == 1:
                with torch.no_grad():
                    probabilities = agent.policy(y).softmax(-1)
                action = torch.multinomial(probabilities, 1, generator=generator).squeeze(1)
                reward = task.reward(action)
                actions.append(action)
                rewards.append(reward)
    return torch.stack(observations), torch.stack(actions), torch.stack(rewards)


def loss_of(agent, observations, actions, rewards, discount=.9, entropy=.02):
    """Advantage actor and critic over the recorded episode, one pass through the plastic layer."""
    y, _ = agent.memory(observations)
    asked = y[1::STEPS]  # the steps with a prompt
    log_policy, value = agent.policy(asked).log_softmax(-1), agent.value(asked).squeeze(-1)
    returns, total = torch.zeros_like(rewards), torch.zeros_like(rewards[0])
    for k in reversed(range(len(rewards))):
        total = rewards[k] + discount * total
        returns[k] = total
    advantage = returns - value
    chosen = log_policy.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
    spread = -(log_policy.exp() * log_policy).sum(-1)
    return (-chosen * advantage.detach() + .5 * advantage.square() - entropy * spread).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=positive_integer, default=400)
    parser.add_argument("--batch", type=positive_integer, default=30)
    parser.add_argument("--hidden", type=positive_integer, default=64)
    parser.add_argument("--rule", default="hard_clip")
    parser.add_argument("--rate", default="modulated")
    parser.add_argument("--eligibility", default="none")
    options = parser.parse_args()
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    agent = Agent(options.hidden, rule=options.rule, rate=options.rate, eligibility=options.eligibility)
    optimizer = torch.optim.Adam(agent.parameters(), lr=3e-3)
    recent = []
    for episode in range(options.episodes):
        record = play(agent, options.batch, generator)
        loss = loss_of(agent, *record)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(agent.parameters(), 4)
        optimizer.step()
        recent.append(record[2][TRIALS // 2 :].mean().item())
        if (episode + 1) % 50 == 0:
            print(f"episode {episode + 1}: reward per trial, second half of an episode {sum(recent[-50:]) / 50:+.2f}")


if __name__ == "__main__":
    main()
