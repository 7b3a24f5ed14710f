"""What the commands share: output, common options, and the choice of the stage to work on."""
