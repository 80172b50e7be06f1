"""Images of one set moved to another, class by class, in the latent spaces of two variational autoencoders."""
