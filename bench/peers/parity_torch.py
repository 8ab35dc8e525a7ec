"""The results of the PyTorch module for a parity case."""
import torch

from model import PlasticCell


def sees_gpu():
    return torch.cuda.is_available()


FORMS = ("careful", "published")


def answers(case, device, form):
    """name -> array, for every `expect.` and `grad.` tensor."""
    def leaves(arrays):
        return {name: torch.tensor(array, device=device, requires_grad=True) for name, array in arrays.items()}

    cell = PlasticCell(case.spec, dtype=torch.float64, device=device, published=form == "published")
    with torch.no_grad():
        for name, array in case.parameters.items():
            cell.parameter(name).copy_(torch.tensor(array))
    inputs, state = leaves(case.inputs), leaves(case.state)
    masks = {name: torch.tensor(array, device=device) for name, array in case.masks.items()}
    outputs = case.outputs(*cell(inputs, state, masks))
    loss = sum((torch.tensor(array, device=device) * outputs[name]).sum() for name, array in case.upstream.items())
    loss.backward()
    parameters = {name: cell.parameter(name) for name in case.parameters}

    def gradients(tensors):
        return {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in tensors.items()}

    all_of_them = {**{"expect." + name: value for name, value in outputs.items()},
                   **case.named_gradients(gradients(parameters), gradients(inputs), gradients(state))}
    return {name: value.detach().cpu().numpy() for name, value in all_of_them.items()}
