import torch
from fye_faster.diffusion import schedule
from fye_faster.train import loss


def test_ddim_table_is_the_released_one() -> None:
    scheduler = schedule.ddim(30)
    assert scheduler.timesteps.tolist() == [
        999, 966, 932, 899, 866, 832, 799, 766, 732, 699, 666, 632, 599, 566, 532,
        499, 466, 432, 399, 366, 332, 299, 266, 232, 199, 166, 132, 99, 66, 32,
    ]  # fmt: skip
    assert scheduler.alphas_cumprod[999] == 0
    assert abs(float(scheduler.alphas_cumprod[32]) - 0.967717) < 1e-6
    assert scheduler.final_alpha_cumprod == 1


def test_at_the_last_timestep_the_clean_latents_are_minus_v() -> None:
    scheduler = schedule.ddim(30)
    signal, sigma = schedule.signal_and_noise(scheduler.alphas_cumprod, torch.tensor([999]), 4)
    clean, noise = torch.randn(2, 1, 3, 2, 2)
    noisy, v = loss.v_target(clean, noise, signal, sigma)
    torch.testing.assert_close(noisy, noise)
    torch.testing.assert_close(v, -clean)


def test_ddim_with_perfect_predictions_returns_the_clean_latents() -> None:
    scheduler = schedule.ddim(10)
    clean, z = torch.randn(2, 1, 3, 2, 2)
    for t in scheduler.timesteps:
        signal, sigma = schedule.signal_and_noise(scheduler.alphas_cumprod, t[None], 4)
        v = (signal * z - clean) / sigma
        z = scheduler.step(v, t, z).prev_sample
    torch.testing.assert_close(z, clean, atol=1e-4, rtol=1e-4)


def test_trust_gives_the_posterior_mean_of_guess_and_noisy_latents() -> None:
    guess, noisy, residual = torch.tensor(0.7), torch.tensor(-0.4), 0.3
    for alpha in (0.01, 0.3, 0.9):
        signal, sigma = alpha**0.5, (1 - alpha) ** 0.5
        a, b = schedule.preconditioning(torch.tensor(alpha), residual)
        clean = signal * noisy - sigma * (a * noisy - b * guess)
        precisions = 1 / residual**2, alpha / (1 - alpha)
        mean = (precisions[0] * guess + precisions[1] * noisy / signal) / sum(precisions)
        torch.testing.assert_close(clean, mean)


def test_pure_noise_is_not_trusted_at_all() -> None:
    assert [float(c) for c in schedule.preconditioning(torch.tensor(0.0), 0.3)] == [0, 1]


def test_shared_noise_has_unit_variance_and_the_stated_correlation() -> None:
    noise = schedule.clip_noise((1, 64, 2, 64, 64), 0.8, torch.Generator().manual_seed(0))
    first, second = noise[0, :, 0].flatten(), noise[0, :, 1].flatten()
    assert abs(float(first.var()) - 1) < 0.01
    assert abs(float((first * second).mean()) - 0.8) < 0.01


def test_ffg_weights_add_the_masks_before_squaring() -> None:
    expression, face = torch.zeros(2, 1, 4, 4)
    face[:, :, :2] = 1
    expression[:, :2, :2] = 1
    weights = loss.ffg_weights([expression, face], (2, 2))
    assert weights[0, 0].tolist() == [[4, 0], [1, 0]]
    assert loss.ffg_weights([expression], (2, 2))[0, 0].tolist() == [[1, 0], [0, 0]]


def test_ffg_is_the_masked_error_of_the_clean_latents() -> None:
    scheduler = schedule.ddim()
    signal, sigma = schedule.signal_and_noise(scheduler.alphas_cumprod, torch.tensor([400]), 4)
    clean, noise, wrong = torch.randn(3, 1, 3, 2, 2)
    noisy, v = loss.v_target(clean, noise, signal, sigma)
    predicted = v + wrong
    weights = torch.tensor([[4.0, 0], [1, 0]])[None, None]
    total, plain = loss.diffusion_loss(predicted, v, sigma, weights, ffg=0.5)
    z_hat = signal * noisy - sigma * predicted
    ffg = (weights.sqrt() * (clean - z_hat)).square().mean()
    torch.testing.assert_close(plain, (clean - z_hat).square().mean())
    torch.testing.assert_close(total, plain + 0.5 * ffg)
    alone, same = loss.diffusion_loss(predicted, v, sigma, None)
    assert alone == same == plain


def test_picture_loss_by_hand() -> None:
    target = torch.zeros(1, 1, 2, 2)
    predicted = torch.tensor([[[[1.0, 0], [0, 0]]]])
    weights = torch.tensor([[[[3.0, 1], [1, 1]]]])
    # L1: 3 / 4; horizontal steps: |-1| (weight 1) / 2; vertical: the same.
    torch.testing.assert_close(loss.picture_loss(predicted, target, weights), torch.tensor(0.75 + 0.5 + 0.5))
